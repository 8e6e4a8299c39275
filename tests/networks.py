"""Small networks with random weights, drawn with numpy: nothing to compile, and every array matters."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.models import convnext, efficientnet_lite, resnet
from castream_jax.models.classifier import Classifier, Head, create_model
from castream_jax.models.layers import modules
from castream_jax.poolings.stream import Stream
from castream_jax.weights import likeness

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DRAWS = {
    "kernel": lambda z: z * math.sqrt(2 / math.prod(z.shape[:-1])),
    "scale": lambda z: 1 + 0.1 * z,
    "bias": lambda z: 0.1 * z,
    "mean": lambda z: 0.1 * z,
    "var": lambda z: np.exp(0.2 * z),
    "layer_scale": lambda z: 0.3 + 0.1 * z,
    "query": lambda z: 1 + 0.5 * z,
    "queries": lambda z: z,
    "token": lambda z: z,
    "key": lambda z: z * math.sqrt(2 / len(z)),
    "value": lambda z: z * math.sqrt(2 / len(z)),
    "gains": lambda z: 0.3 + 0.1 * z,
    "exponent": lambda z: 3 + 0.1 * z,
}


def fill(model: Classifier, seed: int = 0) -> Classifier:
    """Return an abstract network with random weights."""
    rng = np.random.default_rng(seed)
    graphdef, state = nnx.split(model)
    filled = [
        (path, variable.replace(jnp.asarray(DRAWS[path[-1]](rng.standard_normal(variable.shape)), jnp.float32)))
        for path, variable in nnx.to_flat_state(state)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(filled))


def small_resnet(
    pooling: str | tuple[str, ...] = "ca", num_classes: int = 5, heads: int = 1, dtype: str = "float32"
) -> Classifier:
    """Return a ResNet of widths 16 to 128 and stride 16."""
    return fill(nnx.eval_shape(lambda: create_model("resnet18_small", pooling, num_classes, heads, dtype=dtype)))


@contextlib.contextmanager
def shallow_resnets() -> Iterator[None]:
    """Let `resnet18_small` have one block a stage in place of two, where a test is not about the network.

    Blocks of both kinds stay, with and without a shortcut of their own; there is half as much to trace and to compile.
    """
    with pytest.MonkeyPatch.context() as patch:
        shallow = dataclasses.replace(resnet.SPECS["resnet18_small"], depths=(1, 1, 1, 1))
        patch.setitem(resnet.SPECS, "resnet18_small", shallow)
        remembered = functools.cache(likeness.measure_trunk.__wrapped__)  # by its name: not beyond this
        patch.setattr(likeness, "measure_trunk", remembered)
        yield


def mild_resnet(pooling: str | tuple[str, ...] = "ca") -> Classifier:
    """Return `small_resnet` with its logits, which reach 93, divided by 50: two programs' probabilities round alike."""
    model = small_resnet(pooling)
    linear = model.classifier.linear
    linear.kernel[...], linear.bias[...] = linear.kernel[...] / 50, linear.bias[...] / 50
    return model


def small_convnext(pooling: str = "ca", num_classes: int = 5, dtype: str = "float32") -> Classifier:
    """Return a ConvNeXt of widths 8 to 64, under the name of a larger one."""
    spec = convnext.ConvNeXtSpec((1, 1, 2, 1), (8, 16, 32, 64))

    def build() -> Classifier:
        rngs = nnx.Rngs(0)
        stream = Stream(spec.widths, 1, modules.truncated_normal, rngs) if pooling == "ca" else None
        backbone = convnext.ConvNeXt(spec, jnp.dtype(dtype), rngs)
        return Classifier("convnext_tiny", backbone, stream, Head(64, num_classes, normalise=True, rngs=rngs))

    return fill(nnx.eval_shape(build))


def small_lite(pooling: str = "ca", num_classes: int = 5, dtype: str = "float32") -> Classifier:
    """Return an EfficientNet-Lite0 with a quarter of its channels, but for stem and head."""
    spec = efficientnet_lite.EfficientNetLiteSpec(width=0.25)

    def build() -> Classifier:
        rngs = nnx.Rngs(0)
        backbone = efficientnet_lite.EfficientNetLite(spec, jnp.dtype(dtype), rngs)
        stream = Stream(backbone.tap_widths, 1, modules.truncated_normal, rngs) if pooling == "ca" else None
        return Classifier("efficientnet_lite0", backbone, stream, Head(1280, num_classes, normalise=False, rngs=rngs))

    return fill(nnx.eval_shape(build))


BUILDS = {"resnet": small_resnet, "convnext": small_convnext, "efficientnet_lite": small_lite}
"""A small network of each family, by its key."""
ROUNDING = {"resnet": 1, "convnext": 1, "efficientnet_lite": 3}
"""By family, how far roundings add up: EfficientNet-Lite has 50 convolutions in a row, the small ResNet 17."""


def forward(model: Classifier, images: jax.Array) -> tuple[dict[str, jax.Array], jax.Array, tuple[jax.Array, ...]]:
    """Return feature maps, logits and attention of one compiled forward pass."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state: nnx.State, images: jax.Array):
        network = nnx.merge(graphdef, state)
        features = network.features(images)
        return features, *network.head(features)

    return run(state, images)


def random_images(batch: int, height: int, width: int, seed: int = 1) -> jax.Array:
    """Return normalised images of noise."""
    pixels = np.random.default_rng(seed).random((batch, height, width, 3))
    return jnp.asarray((pixels - MEAN) / STD, jnp.float32)


IMAGES = random_images(2, 64, 96)
"""Of one size, so that tests share compiled networks."""
