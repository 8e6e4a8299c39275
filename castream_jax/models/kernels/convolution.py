"""Convolutions and pools, each in the formulation that its platform runs fastest.

All take and return NHWC and compute in the dtype of their input. Matrix products in float32 ask for `HIGHEST`
precision: without it GPUs use TF32 and TPUs bfloat16.
"""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from castream_jax.models.kernels import winograd

PRECISION = lax.Precision.HIGHEST
PATCHES_BYTES = 16 * 2**20
SMALL, WIDE = 7, 256  # positions a side of a result, and channels


Padding = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after the rows, and the columns."""


def pad_same(height: int, width: int, size: int, stride: int) -> Padding:
    """Return TensorFlow's padding "SAME": results at `ceil(side / stride)` places, the odd zero of a side at its end.

    Source: tf.nn, "padding"; MobileNets and EfficientNets were trained with it.
    """
    missing = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in (height, width)]
    return (missing[0] // 2, -(-missing[0] // 2)), (missing[1] // 2, -(-missing[1] // 2))


def per_channel(values: Float[Array, "C"]) -> Float[Array, "1 1 1 C"]:
    """Shape one value for each channel so that it combines with feature maps or kernels."""
    return values.reshape(1, 1, 1, -1)


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "h w C D"], stride: int = 1, padding: int | Padding = 0
) -> Float[Array, "B H2 W2 D"]:
    """Convolve, padded by so many zeros on every side or by pairs; 1x1 and patch kernels become one matrix product."""
    if not isinstance(padding, int):
        x, padding = jnp.pad(x, ((0, 0), *padding, (0, 0))), 0  # XLA makes it the convolution's own
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


def average_pool(x: Float[Array, "B H W C"], stride: int) -> Float[Array, "B H2 W2 C"]:
    """Average squares of `stride` positions a side; at the ends of odd sides, of what is there.

    torch's `AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)` for a stride of 2.
    """
    if stride == 1:
        return x
    (b, h, w, c), counts = x.shape, []
    for side in (h, w):
        counts.append(np.minimum(stride, side - np.arange(0, side, stride)))  # positions under each result
    h2, w2 = map(len, counts)
    x = jnp.pad(x, ((0, 0), (0, h2 * stride - h), (0, w2 * stride - w), (0, 0)))
    sums = x.reshape(b, h2, stride, w2, stride, c).astype(jnp.float32).sum((2, 4))  # [B H2 W2 C]
    return (sums / np.outer(*counts).astype(np.float32)[None, :, :, None]).astype(x.dtype)
