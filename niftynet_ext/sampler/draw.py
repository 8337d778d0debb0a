"""Parameters of NiftyNet's augmentation layers, drawn as the layers draw them.

The draws are taken from ``numpy.random`` in the order in which NiftyNet's reader takes them: with
the same state, ``uniform`` and ``uniform_fast`` cut the same windows from the same deformed volume.
"""

import copy

import numpy as np
from niftynet.layer.base_layer import RandomisedLayer
from niftynet.layer.rand_elastic_deform import RandomElasticDeformationLayer
from niftynet.layer.rand_flip import RandomFlipLayer
from niftynet.layer.rand_rotation import RandomRotationLayer
from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.sampler.deform import Deformation


def drawn_flips(layer, shape):
    """:return: for :class:`~.deform.Deformation`, from NiftyNet's flipping layer"""
    layer.randomise()
    return {
        "flips": tuple(
            axis for axis in range(3) if axis in layer._flip_axes and layer._rand_flip[axis]
        )
    }


def drawn_zoom(layer, shape):
    """:return: for :class:`~.deform.Deformation`, from NiftyNet's scaling layer"""
    layer.randomise()
    return {"zoom": tuple(layer._rand_zoom), "antialiasing": layer.antialiasing}


def drawn_rotation(layer, shape):
    """:return: for :class:`~.deform.Deformation`, from NiftyNet's rotation layer"""
    layer.randomise()
    return {"rotation": layer._transform}


def drawn_lattice(layer, shape):
    """:return: for :class:`~.deform.Deformation`, from NiftyNet's elastic layer"""
    points = layer.num_controlpoints + 3
    # the layer's own method would make a volume of zeros; its parameters run along z, y, x
    values = np.random.randn(3 * points**3) * layer.std_deformation_sigma
    if np.random.rand() >= layer.proportion_to_augment:
        return {}
    return {"lattice": values.reshape(3, points, points, points)[::-1]}


#: in the order in which NiftyNet's application adds them, which is the only one composed here
DRAWN = {
    RandomFlipLayer: drawn_flips,
    RandomSpatialScalingLayer: drawn_zoom,
    RandomRotationLayer: drawn_rotation,
    RandomElasticDeformationLayer: drawn_lattice,
}


def draw(layers, shape):
    """
    :param layers: the second result of :func:`split`
    :param shape: spatial shape of the volume, x, y, z
    :return: a :class:`~.deform.Deformation`; other threads may draw from the same layers
    """
    found = {}
    for layer in layers:
        found.update(DRAWN[type(layer)](copy.copy(layer), shape))
    return Deformation(source_shape=tuple(int(n) for n in shape), **found)


def split(layers):
    """Part what is done once to a volume from what is drawn anew each time it is read.

    :param layers: ``preprocessors`` of NiftyNet's reader
    :return: layers that draw nothing (padding, whitening, ...), augmentation layers
    :raises RefusedError: a layer that is not known here, or in another order
    """
    fixed = [layer for layer in layers if not isinstance(layer, RandomisedLayer)]
    random = [layer for layer in layers if isinstance(layer, RandomisedLayer)]
    known = list(DRAWN)
    kinds = [type(layer) for layer in random]
    if [*fixed, *random] != list(layers) or kinds != [kind for kind in known if kind in kinds]:
        raise RefusedError(
            f"window_sampling = uniform_fast: expected layers that draw nothing, then any of "
            f"{', '.join(kind.__name__ for kind in known)} in this order; found "
            f"{', '.join(type(layer).__name__ for layer in layers)}. Use window_sampling = uniform"
        )
    return fixed, random
