"""ResNeXt and ResNet-D of few blocks; weights drawn by numpy, by torch's names, which torch made the goldens with."""

from collections.abc import Mapping

import numpy as np

from castream_jax.models.resnet import DEEP, ResNetSpec
from tests.models.data.lite_recipe import draw

DEPTHS = (1, 2, 1, 1)
SPECS = {
    "resnext": ResNetSpec(DEPTHS, bottleneck=True, inner=2, groups=32),
    "resnext_wide": ResNetSpec(DEPTHS, bottleneck=True, inner=4, groups=32),
    "resnet_d": ResNetSpec(DEPTHS, bottleneck=True, stem=DEEP, averaged=True),
    "resnet_d_basic": ResNetSpec(DEPTHS, bottleneck=False, stem=DEEP, averaged=True),
}
CLASSES = 11
SIZES = ((224, 224), (65, 79))
"""Of images; the sides of the second halve to odd numbers, whose averages are of what is there."""
EVERY = 16
"""Of the channels of feature maps, goldens hold one in so many, of the first image and the second size."""


def make_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return every array of a network, float32; each drawn from a seed of its own."""
    return {key: draw(key, list(shapes[key]), np.random.default_rng([13, i])) for i, key in enumerate(sorted(shapes))}
