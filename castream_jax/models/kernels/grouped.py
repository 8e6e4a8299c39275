"""Convolutions of groups of channels, each apart from the others (ResNeXt), as each platform runs them fast."""

import functools
import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from castream_jax.models.kernels.convolution import PRECISION, Padding, convolve

WIDE, MOST = 64, 8
"""Channels of a run of groups, and how many runs there are at most: each is a convolution to compile."""


def convolve_groups(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k c D"], groups: int, stride: int, padding: Padding
) -> Float[Array, "B H2 W2 D"]:
    """Convolve each of `groups` groups of `c` channels, of `C = groups * c`, to its `D / groups` features.

    On a CPU, groups are too narrow to be fast: there a run of them is one convolution, whose kernel is zero between
    groups.

    Source: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017, figure 3c.
    """
    whole = functools.partial(_convolve_whole, groups=groups, stride=stride, padding=padding)
    together = math.gcd(groups, max(WIDE // kernel.shape[2], 1))
    if groups // together > MOST:
        return whole(x, kernel)
    by_runs = functools.partial(_convolve_runs, groups=groups, together=together, stride=stride, padding=padding)
    return lax.platform_dependent(x, kernel, cpu=by_runs, default=whole)


def _convolve_whole(x: Array, kernel: Array, groups: int, stride: int, padding: Padding) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=PRECISION,
    )


def _convolve_runs(x: Array, kernel: Array, groups: int, together: int, stride: int, padding: Padding) -> Array:
    """Convolve runs of `together` groups, each as if its groups were one."""
    size, _, width, features = kernel.shape
    runs = groups // together
    apart = kernel.reshape(size, size, width, runs, together, features // groups)
    diagonal = jnp.einsum("hwcrgd,fg->hwfcrgd", apart, jnp.eye(together, dtype=kernel.dtype))  # zero where f is not g
    kernels = jnp.split(diagonal.reshape(size, size, together * width, features), runs, -1)
    sides = {pad for side in padding for pad in side}
    zeros = sides.pop() if len(sides) == 1 else padding
    parts = zip(jnp.split(x, runs, -1), kernels, strict=True)
    return jnp.concatenate([convolve(part, whole, stride, zeros) for part, whole in parts], -1)
