"""Convolutions and pools, each in the formulation that its platform runs fastest.

All take and return NHWC and compute in the dtype of their input. Matrix products in float32 ask for `HIGHEST`
precision: without it GPUs use TF32 and TPUs bfloat16.
"""

import functools
import itertools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

from castream_jax.models.kernels import winograd

PRECISION = lax.Precision.HIGHEST
CACHE_LINE = 16  # float32 values
PATCHES_BYTES = 16 * 2**20
SMALL, WIDE = 7, 256  # positions a side of a result, and channels


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
    if _is_small(x, kernel, stride):
        by_patches = functools.partial(_convolve_patches, stride=stride, padding=padding)
        return lax.platform_dependent(x, kernel, cpu=by_patches, default=convolve_positions)
    return convolve_positions(x, kernel)


def _is_small(x: Array, kernel: Array, stride: int) -> bool:
    """Return whether results are few, of many channels, and the patches under the kernel fit into a CPU's caches.

    For 7x7 of 512 channels one product then takes 0.7 to 0.8 of the time on a CPU; for 32 images of it, or 6x6 of 128
    channels, more than 1.
    """
    patches = x.size // stride**2 * kernel.shape[0] * kernel.shape[1] * x.dtype.itemsize
    return max(x.shape[1:3]) <= SMALL * stride and min(kernel.shape[2:]) >= WIDE and patches <= PATCHES_BYTES


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
