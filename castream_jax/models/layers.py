"""Layers that both backbones are built from: convolutions in the formulation each platform runs fastest.

All take and return NHWC and compute in the dtype of their input; parameters stay float32. Matrix
products in float32 ask for `HIGHEST` precision: without it GPUs use TF32 and TPUs bfloat16.
"""

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from castream_jax.cpu import count_cores
from castream_jax.models import winograd

PRECISION = lax.Precision.HIGHEST
BATCH_NORM_EPSILON = 1e-5  # torchvision's
BATCH_NORM_MOMENTUM = 0.9
CACHE_LINE = 16  # float32 values
CACHE_BYTES = 4 * 2**20  # of a CPU's core
EARLY = 2  # stages of a backbone that `map_in_cache` is for

he_normal = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
truncated_normal = nnx.initializers.truncated_normal(0.02)


def per_channel(values: Float[Array, "C"]) -> Float[Array, "1 1 1 C"]:
    """Shape one value for each channel so that it combines with feature maps or kernels."""
    return values.reshape(1, 1, 1, -1)


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C D"], stride: int = 1, padding: int = 0
) -> Float[Array, "B H2 W2 D"]:
    """Convolve with torch's symmetric padding; 1x1 and patch kernels become one matrix product."""
    height, width, channels, _ = kernel.shape
    kernel = kernel.astype(x.dtype)
    if height == width == 1 and padding == 0:
        x = x[:, ::stride, ::stride]  # [B H2 W2 C]
        return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())), precision=PRECISION)
    if height == width == stride and padding == 0:
        b, h2, w2 = x.shape[0], x.shape[1] // stride, x.shape[2] // stride
        x = x[:, : h2 * stride, : w2 * stride].reshape(b, h2, stride, w2, stride, channels)
        return lax.dot_general(x, kernel, (((2, 4, 5), (0, 1, 2)), ((), ())), precision=PRECISION)  # [B H2 W2 D]
    if min(x.shape[1:3]) < height:
        return _convolve_patches(x, kernel, stride, padding)
    convolve_positions = functools.partial(
        lax.conv_general_dilated,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=PRECISION,
    )
    if winograd.is_faster(x, kernel, stride, padding):
        return lax.platform_dependent(x, kernel, cpu=winograd.convolve_tiles, default=convolve_positions)
    return convolve_positions(x, kernel)


def _convolve_patches(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Convolve by one product with the patches under the kernel.

    For maps smaller than the kernel: XLA's CPU backend takes 190 times as long for 3x3 on a map of 2x2.
    """
    size, features = kernel.shape[0], kernel.shape[-1]
    h2, w2 = ((side + 2 * padding - size) // stride + 1 for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    places = itertools.product(range(size), repeat=2)
    taps = [x[:, i : i + stride * h2 : stride, j : j + stride * w2 : stride] for i, j in places]
    patches = jnp.concatenate(taps, axis=-1)  # [B H2 W2 k*k*C]
    return lax.dot_general(patches, kernel.reshape(-1, features), (((3,), (0,)), ((), ())), precision=PRECISION)


def depthwise_convolve(x: Float[Array, "B H W C"], kernel: Float[Array, "k k 1 C"]) -> Float[Array, "B H W C"]:
    """Convolve every channel with its own odd-sized kernel, zero padded to the same size.

    XLA's CPU backend has no fast grouped convolution: there one product for each tap of the kernel is about
    30 times faster.
    """
    return lax.platform_dependent(x, kernel, cpu=_depthwise_by_taps, default=_depthwise_grouped)


def _depthwise_grouped(x: Array, kernel: Array) -> Array:
    pad = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (1, 1),
        [(pad, pad)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=PRECISION,
    )


def _depthwise_by_taps(x: Array, kernel: Array) -> Array:
    return _sum_of_taps(x.astype(jnp.float32), kernel.astype(jnp.float32)).astype(x.dtype)


@jax.custom_vjp
def _sum_of_taps(x: Array, kernel: Array) -> Array:
    """Call `_add_taps`, and keep XLA from fusing it into what follows, where each pass of a norm would repeat it."""
    with set_xla_metadata(inlineable="false"):
        return _add_taps(x, kernel)


@jax.jit
def _add_taps(x: Array, kernel: Array) -> Array:
    """Add the taps' products in one pass: unlike the body of a loop, XLA vectorises it over all cores.

    Widths are powers of two, so that all taps of one channel would fall into the same few sets of the cache and
    evict each other. `CACHE_LINE` more channels, never read, spread them: 3 to 10 times faster from 512 channels.
    """
    size, (_, h, w, c) = kernel.shape[0], x.shape
    pad, skew = size // 2, (0, CACHE_LINE)
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), skew))
    taps = jnp.pad(kernel[:, :, 0], ((0, 0), (0, 0), skew))  # [k k C+]
    x, taps = lax.optimization_barrier((x, taps))  # else the padding would be undone
    positions = itertools.product(range(size), repeat=2)
    products = (x[:, i : i + h, j : j + w, :c] * per_channel(taps[i, j, :c]) for i, j in positions)
    return functools.reduce(operator.add, products)


def _sum_of_taps_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _sum_of_taps(x, kernel), (x, kernel)


def _sum_of_taps_backward(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    """Differentiate by hand: the transpose of each slice would be a padded copy of the map."""
    x, kernel = residuals
    size = kernel.shape[0]
    padded = jnp.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))

    def tap_gradient(tap: Array) -> Array:
        return jnp.sum(lax.dynamic_slice(padded, (0, tap // size, tap % size, 0), x.shape) * cotangent, (0, 1, 2))

    of_kernel = lax.map(tap_gradient, jnp.arange(size**2)).reshape(kernel.shape)
    return _sum_of_taps(cotangent, kernel[::-1, ::-1]), of_kernel


_sum_of_taps.defvjp(_sum_of_taps_forward, _sum_of_taps_backward)


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H2 W2 C"]:
    """Max-pool 3x3, stride 2, padding 1 (the ResNet stem's); on CPU as eight maxima of strided slices."""
    return lax.platform_dependent(x, cpu=_max_pool_by_shifts, default=_max_pool_window)


def _max_pool_window(x: Array) -> Array:
    lowest = np.array(-np.inf, x.dtype)  # numpy's: JAX differentiates a maximum only if it sees where that starts
    return lax.reduce_window(x, lowest, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))


def _max_pool_by_shifts(x: Array) -> Array:
    h2, w2 = (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
    rows = [x[:, i : i + 2 * h2 - 1 : 2] for i in range(3)]
    x = jnp.maximum(jnp.maximum(rows[0], rows[1]), rows[2])  # [B H2 W C]
    columns = [x[:, :, i : i + 2 * w2 - 1 : 2] for i in range(3)]
    return jnp.maximum(jnp.maximum(columns[0], columns[1]), columns[2])


def map_in_cache(function: Callable[[Array], Any], x: Float[Array, "B H W C"]) -> Any:
    """Return `function` of a batch, which treats each image by itself; on CPU of a few images at a time.

    For the early layers, whose maps are large and whose weights are small, and for images that lie on one device. A few
    images' maps stay in the caches of a CPU, a batch's do not: ResNet-50 is 1.05 to 1.12 times as fast, ConvNeXt-B
    1.07 to 1.1 times.
    """
    return lax.platform_dependent(x, cpu=functools.partial(_map_groups, function), default=function)


def _map_groups(function: Callable[[Array], Any], x: Array) -> Any:
    """Apply a function to groups of images, all of one size, whose largest map fits into the caches of the cores."""
    maps = jax.tree.leaves(jax.eval_shape(function, x[:1]))
    largest = max(single.size * single.dtype.itemsize for single in maps)
    cores = max(count_cores() // jax.local_device_count(), 1)  # that share one device
    groups = -(-len(x) // max(cores * CACHE_BYTES // largest, 1))
    if groups <= 1:
        return function(x)
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


class ConvNorm(nnx.Module):
    """A convolution without bias and its batch normalisation, folded into one convolution at inference."""

    def __init__(self, size: int, features_in: int, features_out: int, *, stride: int, rngs: nnx.Rngs):
        self.kernel = nnx.Param(he_normal(rngs.params(), (size, size, features_in, features_out)))
        self.scale = nnx.Param(jnp.ones(features_out))
        self.bias = nnx.Param(jnp.zeros(features_out))
        self.mean = nnx.BatchStat(jnp.zeros(features_out))
        self.var = nnx.BatchStat(jnp.ones(features_out))
        self.stride = stride
        self.padding = size // 2

    def __call__(self, x: Float[Array, "B H W C"], train: bool = False) -> Float[Array, "B H2 W2 D"]:
        """Normalise by the running statistics, or with `train` by the batch's own, which then move the running ones."""
        if not train:
            gain = self.scale[...] * lax.rsqrt(self.var[...] + BATCH_NORM_EPSILON)  # [D]
            y = convolve(x, self.kernel[...] * per_channel(gain), self.stride, self.padding)
            return y + per_channel(self.bias[...] - self.mean[...] * gain).astype(x.dtype)
        y = convolve(x, self.kernel[...], self.stride, self.padding).astype(jnp.float32)
        mean, var = jnp.mean(y, (0, 1, 2)), jnp.var(y, (0, 1, 2))  # [D] each
        self.mean[...] = BATCH_NORM_MOMENTUM * self.mean[...] + (1 - BATCH_NORM_MOMENTUM) * mean
        self.var[...] = BATCH_NORM_MOMENTUM * self.var[...] + (1 - BATCH_NORM_MOMENTUM) * var
        gain = self.scale[...] * lax.rsqrt(var + BATCH_NORM_EPSILON)
        return (y * per_channel(gain) + per_channel(self.bias[...] - mean * gain)).astype(x.dtype)


def layer_norm(features: int, dtype: jnp.dtype, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """ConvNeXt's layer normalisation over channels (epsilon 1e-6, two-pass variance)."""
    return nnx.LayerNorm(features, epsilon=1e-6, use_fast_variance=False, dtype=dtype, rngs=rngs)


def linear(
    features_in: int, features_out: int, dtype: jnp.dtype, rngs: nnx.Rngs, kernel_init=truncated_normal
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
