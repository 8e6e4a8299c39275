"""Layers that the backbones and the stream are built from; parameters stay float32, whatever they compute in."""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from castream_jax.cpu import count_cores
from castream_jax.models.kernels.convolution import PRECISION, Padding, convolve, pad_same, per_channel
from castream_jax.models.kernels.depthwise import depthwise_convolve
from castream_jax.models.kernels.grouped import convolve_groups
from castream_jax.models.layers.fresh import he_normal, he_normal_depthwise, truncated_normal

BATCH_NORM_EPSILON = 1e-5  # torchvision's
BATCH_NORM_MOMENTUM = 0.9
CACHE_BYTES = 4 * 2**20  # of a CPU's core
EARLY = 2  # stages of a backbone that `map_in_cache` is for


def map_in_cache(function: Callable[[Array], Any], x: Float[Array, "B H W C"]) -> Any:
    """Return `function` of a batch, which treats each image by itself; on CPU of a few images at a time.

    For the early layers, whose maps are large and whose weights are small, and for images that lie on one device. A few
    images' maps stay in the caches of a CPU, a batch's do not: ResNet-50 is 1.05 to 1.12 times as fast, ConvNeXt-B
    1.07 to 1.1 times. A batch that stays there whole is the same on every platform, and traced as one.
    """

    @jax.jit  # traced once, to be measured and to be run
    def apply(x: Array) -> Any:
        return function(x)

    groups = _count_groups(apply, x)
    if groups <= 1:
        return apply(x)
    return lax.platform_dependent(x, cpu=functools.partial(_map_groups, apply, groups), default=apply)


def _count_groups(function: Callable[[Array], Any], x: Array) -> int:
    """Return how many groups of a batch there are whose largest maps fit into the caches of a CPU's cores."""
    maps = jax.tree.leaves(jax.eval_shape(function, x))
    largest = max(math.prod(single.shape[1:]) * single.dtype.itemsize for single in maps)
    cores = max(count_cores() // jax.local_device_count(), 1)  # that share one device
    return -(-len(x) // max(cores * CACHE_BYTES // largest, 1))


def _map_groups(function: Callable[[Array], Any], groups: int, x: Array) -> Any:
    """Apply a function to so many groups of images, all of one size."""
    size = -(-len(x) // groups)
    padded = jnp.pad(x, ((0, groups * size - len(x)), (0, 0), (0, 0), (0, 0)))
    found = lax.map(function, padded.reshape(groups, size, *x.shape[1:]))
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[: len(x)], found)


class Conv(nnx.Module):
    """A convolution with a bias, unpadded."""

    def __init__(self, size: int, features_in: int, features_out: int, *, stride: int, rngs: nnx.Rngs):
        self.kernel = nnx.Param(truncated_normal(rngs.params(), (size, size, features_in, features_out)))
        self.bias = nnx.Param(jnp.zeros(features_out))
        self.stride = stride

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 D"]:
        return convolve(x, self.kernel[...], self.stride) + per_channel(self.bias[...]).astype(x.dtype)


class Branch(NamedTuple):
    """One term of a residual sum: `map * gain + shift`."""

    map: Float[Array, "B H W D"]
    gain: Float[Array, "D"] | None = None
    shift: Float[Array, "D"] | None = None

    @property
    def value(self) -> Float[Array, "B H W D"]:
        if self.gain is None or self.shift is None:
            return self.map
        return self.map * per_channel(self.gain) + per_channel(self.shift)


def add_branches(*branches: Branch, activate: bool = True) -> Float[Array, "B H W D"]:
    """Return the sum of branches, or with `activate` its ReLU; on CPU out of what XLA may fuse.

    There it would compute a sum anew for each layer that reads it, the sums that it is made of with it: 8 % of the time
    of ResNet-50.
    """
    add = functools.partial(_add_branches, activate=activate)
    return lax.platform_dependent(branches, cpu=functools.partial(_add_apart, add), default=add)


def _add_apart(add: Callable[..., Array], branches: tuple[Branch, ...]) -> Array:
    with set_xla_metadata(inlineable="false"):
        return add(branches)


@functools.partial(jax.jit, static_argnames="activate")
def _add_branches(branches: tuple[Branch, ...], activate: bool) -> Array:
    total = functools.reduce(operator.add, (branch.value for branch in branches))
    return jax.nn.relu(total) if activate else total


def relu6(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `min(max(x, 0), 6)`; a NaN stays one, and the slope at 0 is 0, as torch's."""
    return jnp.minimum(jax.nn.relu(x), 6)


def _fold(kernel: Array, gain: Array) -> tuple[Array, Array]:
    return kernel * per_channel(gain), jnp.ones_like(gain)


def _leave(kernel: Array, gain: Array) -> tuple[Array, Array]:
    return kernel, gain


class ConvNorm(nnx.Module):
    """A convolution without bias and its batch normalisation, folded into one convolution at inference."""

    def __init__(
        self,
        size: int,
        features_in: int,
        features_out: int,
        *,
        stride: int,
        rngs: nnx.Rngs,
        epsilon: float = BATCH_NORM_EPSILON,
        same: bool = False,
        groups: int = 1,
    ):
        """Draw the kernel.

        Args:
          size, features_in, features_out, stride: of the convolution.
          rngs: for the kernel.
          epsilon: of the normalisation.
          same: pad as TensorFlow's "SAME" does, instead of half the kernel on every side.
          groups: of channels, each convolved apart from the others; they divide both numbers of features.
        """
        self.kernel = nnx.Param(self._draw(size, features_in // groups, features_out, rngs))
        self.scale = nnx.Param(jnp.ones(features_out))
        self.bias = nnx.Param(jnp.zeros(features_out))
        self.mean = nnx.BatchStat(jnp.zeros(features_out))
        self.var = nnx.BatchStat(jnp.ones(features_out))
        self.stride = stride
        self.epsilon = epsilon
        self.same = same
        self.groups = groups

    def _draw(self, size: int, features_in: int, features_out: int, rngs: nnx.Rngs) -> Array:
        return he_normal(rngs.params(), (size, size, features_in, features_out))

    def _convolve(self, x: Array, kernel: Array) -> Array:
        """Convolve without normalisation."""
        if self.groups > 1:
            return convolve_groups(x, kernel, self.groups, self.stride, self._pad(x))
        return convolve(x, kernel, self.stride, self._pad(x) if self.same else len(kernel) // 2)

    def _pad(self, x: Array) -> Padding:
        size = len(self.kernel[...])
        if self.same:
            return pad_same(x.shape[1], x.shape[2], size, self.stride)
        return ((size // 2, size // 2),) * 2

    def branch(self, x: Float[Array, "B H W C"]) -> Branch:
        """Return the convolution, with what is left of its normalisation by the running statistics.

        The gain is folded into the kernel; but on a CPU in float32 it is left: it costs nothing beside the shift, and
        the folded kernels of ResNet-50 are 190 MB to read and write, 1.06 times the time of 8 images.
        """
        gain = self.scale[...] * lax.rsqrt(self.var[...] + self.epsilon)  # [D]
        shift = self.bias[...] - self.mean[...] * gain
        keep = _leave if x.dtype == jnp.float32 else _fold
        kernel, gain = lax.platform_dependent(self.kernel[...], gain, cpu=keep, default=_fold)
        return Branch(self._convolve(x, kernel), gain.astype(x.dtype), shift.astype(x.dtype))

    def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H2 W2 D"]:
        """Normalise by the running statistics, or with `train` by the batch's own, which then move the running ones."""
        if not train:
            return self.branch(x).value
        y = self._convolve(x, self.kernel[...]).astype(jnp.float32)
        mean, var = jnp.mean(y, (0, 1, 2)), jnp.var(y, (0, 1, 2))  # [D] each
        self.mean[...] = BATCH_NORM_MOMENTUM * self.mean[...] + (1 - BATCH_NORM_MOMENTUM) * mean
        self.var[...] = BATCH_NORM_MOMENTUM * self.var[...] + (1 - BATCH_NORM_MOMENTUM) * var
        gain = self.scale[...] * lax.rsqrt(var + self.epsilon)
        return (y * per_channel(gain) + per_channel(self.bias[...] - mean * gain)).astype(x.dtype)


class DepthwiseNorm(ConvNorm):
    """The same with a depthwise convolution: as many features out as in."""

    def _draw(self, size: int, features_in: int, features_out: int, rngs: nnx.Rngs) -> Array:
        return he_normal_depthwise(rngs.params(), (size, size, 1, features_out))

    def _convolve(self, x: Array, kernel: Array) -> Array:
        return depthwise_convolve(x, kernel, self.stride, self._pad(x), apart=False)


def layer_norm(features: int, dtype: jnp.dtype, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """ConvNeXt's layer normalisation over channels (epsilon 1e-6, two-pass variance)."""
    return nnx.LayerNorm(features, epsilon=1e-6, use_fast_variance=False, dtype=dtype, rngs=rngs)


def linear(
    features_in: int, features_out: int, dtype: jnp.dtype, rngs: nnx.Rngs, kernel_init: Any = truncated_normal
) -> nnx.Linear:
    """Create a linear layer that computes in `dtype`."""
    return nnx.Linear(features_in, features_out, dtype=dtype, precision=PRECISION, kernel_init=kernel_init, rngs=rngs)


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Apply the exact GELU, which is torch's default; on CPU as torch does.

    There `erfc`, which `jax.nn.gelu` uses, is three polynomials and an exponential: 2.5 times slower than `erf`.
    """
    return lax.platform_dependent(x, cpu=_gelu_by_erf, default=functools.partial(jax.nn.gelu, approximate=False))


def _gelu_by_erf(x: Array) -> Array:
    y = x.astype(jnp.float32)
    return (y * (1 + lax.erf(y * np.sqrt(0.5).astype(np.float32))) / 2).astype(x.dtype)
