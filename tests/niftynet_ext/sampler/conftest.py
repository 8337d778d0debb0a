"""A small cohort in NIfTI, and NiftyNet's readers over it with any of its layers."""

import nibabel
import numpy as np
import pytest

from tests.support import volumes


@pytest.fixture
def make_reader(tf, tmp_path):
    """Function: reader of two subjects behind NiftyNet's layers; image order and axcodes vary."""
    from niftynet.io.image_reader import ImageReader
    from niftynet.io.image_sets_partitioner import ImageSetsPartitioner

    def make(layers=(), order=3, shape=volumes.SHAPE, axcodes=("R", "A", "S")):
        sections = {}
        for name, make_volume, interp_order in (
            ("image", volumes.make_image, order),
            ("label", volumes.make_label, 0),
        ):
            rows = []
            for seed, subject in enumerate(("s0", "s1")):
                path = tmp_path / f"{subject}_{name}.nii"
                nibabel.save(nibabel.Nifti1Image(make_volume(shape, seed), np.eye(4)), path)
                rows.append(f"{subject},{path}\n")
            (tmp_path / f"{name}.csv").write_text("".join(rows))
            sections[name] = {
                "csv_file": str(tmp_path / f"{name}.csv"),
                "axcodes": axcodes,
                "spatial_window_size": volumes.WINDOW,
                "interp_order": interp_order,
            }
        files = ImageSetsPartitioner().initialise(sections).get_file_list()
        reader = ImageReader(["image", "label"]).initialise(
            sections, {"image": ("image",), "label": ("label",)}, files
        )
        reader.add_preprocessing_layers(list(layers))
        return reader

    return make


@pytest.fixture
def layers(tf):
    """Function: NiftyNet's layers by short names, as its application makes them."""
    from niftynet.layer.mean_variance_normalisation import MeanVarNormalisationLayer
    from niftynet.layer.pad import PadLayer
    from niftynet.layer.rand_elastic_deform import RandomElasticDeformationLayer
    from niftynet.layer.rand_flip import RandomFlipLayer
    from niftynet.layer.rand_rotation import RandomRotationLayer
    from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer

    def rotation():
        layer = RandomRotationLayer()
        layer.init_uniform_angle((-10.0, 10.0))
        return layer

    known = {
        "pad": lambda: PadLayer(("image", "label"), (2, 1, 0)),
        "whiten": lambda: MeanVarNormalisationLayer("image"),
        "flip": lambda: RandomFlipLayer((0, 2)),
        "scale": lambda: RandomSpatialScalingLayer(-10.0, 10.0),
        "shrink": lambda: RandomSpatialScalingLayer(-40.0, -30.0),
        "rotate": rotation,
        "elastic": lambda: RandomElasticDeformationLayer(4, 5, 1.0, 3),
        "half elastic": lambda: RandomElasticDeformationLayer(4, 5, 0.5, 3),
    }
    return lambda names: [known[name]() for name in names.split(", ")]
