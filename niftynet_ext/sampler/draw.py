"""Parameters of NiftyNet's augmentation layers, drawn in the same way as the layers draw them.

They are drawn from ``numpy.random`` in the same order as NiftyNet's reader draws them: with
the same state, ``uniform`` and ``uniform_fast`` cut the same windows from the same deformed volume.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from niftynet.layer.base_layer import RandomisedLayer
from niftynet.layer.rand_elastic_deform import RandomElasticDeformationLayer
from niftynet.layer.rand_flip import RandomFlipLayer
from niftynet.layer.rand_rotation import RandomRotationLayer
from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.sampler.deform import Deformation

# NiftyNet is untyped: its layers are Any


def draw_flips(layer: Any) -> dict[str, Any]:
    """Draw ``flips`` of a :class:`.Deformation` from NiftyNet's flipping layer."""
    layer.randomise()
    return {
        "flips": tuple(
            axis for axis in range(3) if axis in layer._flip_axes and layer._rand_flip[axis]
        )
    }


def draw_zoom(layer: Any) -> dict[str, Any]:
    """Draw ``zoom`` of a :class:`.Deformation` from NiftyNet's scaling layer."""
    layer.randomise()
    return {"zoom": tuple(layer._rand_zoom), "antialiasing": layer.antialiasing}


def draw_rotation(layer: Any) -> dict[str, Any]:
    """Draw ``rotation`` of a :class:`.Deformation` from NiftyNet's rotation layer."""
    layer.randomise()
    return {"rotation": layer._transform}


def draw_lattice(layer: Any) -> dict[str, Any]:
    """Draw ``lattice`` of a :class:`.Deformation` from NiftyNet's elastic layer."""
    points = layer.num_controlpoints + 3
    # the layer's own method would make a volume of zeros; its parameters run along z, y, x
    values = np.random.randn(3 * points**3) * layer.std_deformation_sigma
    if np.random.rand() >= layer.proportion_to_augment:
        return {}
    return {"lattice": values.reshape(3, points, points, points)[::-1]}


DRAW_FROM: dict[type, Callable[[Any], dict[str, Any]]] = {
    RandomFlipLayer: draw_flips,
    RandomSpatialScalingLayer: draw_zoom,
    RandomRotationLayer: draw_rotation,
    RandomElasticDeformationLayer: draw_lattice,
}
"""How to draw from each layer.

In the order in which NiftyNet's application adds them, the only order that is composed here.
"""


def draw(layers: Iterable[Any], shape: Sequence[int] | np.ndarray) -> Deformation:
    """Draw from augmentation layers; other threads may draw from the same layers meanwhile.

    :param layers: the second result of :func:`split`
    :param shape: spatial shape of the volume, x, y, z
    """
    parameters: dict[str, Any] = {}
    for layer in layers:
        parameters.update(DRAW_FROM[type(layer)](copy.copy(layer)))
    return Deformation(source_shape=tuple(int(side) for side in shape), **parameters)


def split(layers: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Separate what is done once to a volume from what is drawn each time it is read.

    :param layers: ``preprocessors`` of NiftyNet's reader
    :return: layers that draw nothing (padding, whitening, ...), augmentation layers
    :raises RefusedError: a layer is unknown here, or the order is another one
    """
    fixed = [layer for layer in layers if not isinstance(layer, RandomisedLayer)]
    random = [layer for layer in layers if isinstance(layer, RandomisedLayer)]
    known = list(DRAW_FROM)
    kinds = [type(layer) for layer in random]
    if [*fixed, *random] != list(layers) or kinds != [kind for kind in known if kind in kinds]:
        raise RefusedError(
            f"window_sampling = uniform_fast: expected layers without randomness, then any of "
            f"{', '.join(kind.__name__ for kind in known)} in this order; found "
            f"{', '.join(type(layer).__name__ for layer in layers)}. Use window_sampling = uniform"
        )
    return fixed, random
