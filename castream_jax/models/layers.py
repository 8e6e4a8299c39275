"""Layers that both backbones are built from: convolutions in the formulation each platform runs fastest.

All take and return NHWC and compute in the dtype of their input; parameters stay float32. Matrix
products in float32 ask for `HIGHEST` precision: without it GPUs use TF32 and TPUs bfloat16.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

PRECISION = lax.Precision.HIGHEST
BATCH_NORM_EPSILON = 1e-5  # torchvision's
BATCH_NORM_MOMENTUM = 0.9

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
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=PRECISION,
    )


def depthwise_convolve(x: Float[Array, "B H W C"], kernel: Float[Array, "k k 1 C"]) -> Float[Array, "B H W C"]:
    """Convolve every channel with its own odd-sized kernel, zero padded to the same size.

    XLA's CPU backend has no fast grouped convolution: there a loop over the kernel's rows, its taps
    unrolled, is about 20 times faster.
    """
    return lax.platform_dependent(x, kernel, cpu=_depthwise_by_rows, default=_depthwise_grouped)


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


def _depthwise_by_rows(x: Array, kernel: Array) -> Array:
    size, (b, h, w, c) = kernel.shape[0], x.shape
    pad = size // 2
    taps = kernel[:, :, 0].astype(jnp.float32)  # [k k C]
    padded = jnp.pad(x.astype(jnp.float32), ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def add_row(row: Array, total: Array) -> Array:
        rows = lax.dynamic_slice(padded, (0, row, 0, 0), (b, h, w + 2 * pad, c))
        weights = lax.dynamic_index_in_dim(taps, row, keepdims=False)  # [k C]
        return total + sum(rows[:, :, i : i + w] * per_channel(weights[i]) for i in range(size))

    return lax.fori_loop(0, size, add_row, jnp.zeros((b, h, w, c), jnp.float32)).astype(x.dtype)


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
    """Apply the exact GELU, which is torch's default."""
    return jax.nn.gelu(x, approximate=False)
