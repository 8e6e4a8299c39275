"""3x3 convolutions by tiles, with 16 products where position by position takes 36: Winograd's F(2x2, 3x3).

    Y = A^T [ (G g G^T) * (B^T d B) ] A

d is a tile of 4x4 positions, Y its 2x2 results, g the kernel, * the product of each place, summed over channels
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1). In float32 the result is
as exact as the sum over positions, to a small factor; larger tiles are not.
"""

import itertools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

SMALLEST, FEWEST = 8, 64
"""Positions a side and channels. From 14 positions and 64 channels tiles were 1.3 to 1.5 times as fast on one core; at
7 positions, where many tiles stick out, not always faster at all."""


def is_faster(x: Float[Array, "B H W C"], kernel: Float[Array, "h w C D"], stride: int, padding: int) -> bool:
    """Return whether a convolution is one that tiles are faster for, on a CPU."""
    shape = kernel.shape[:2] == (3, 3) and (stride, padding) == (1, 1) and x.dtype == jnp.float32
    return shape and min(x.shape[1:3]) >= SMALLEST and min(kernel.shape[2:]) >= FEWEST


def convolve_tiles(x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C D"]) -> Float[Array, "B H W D"]:
    """Convolve with stride 1 and padding 1."""
    b, h, w, c = x.shape
    rows, columns = -(-h // 2), -(-w // 2)  # of tiles
    x = jnp.pad(x, ((0, 0), (1, 2 * rows + 1 - h), (1, 2 * columns + 1 - w), (0, 0)))
    places = [[x[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2] for j in range(4)] for i in range(4)]
    tiles = jnp.stack(_on_both_axes(_transform_tile, places)).reshape(16, b * rows * columns, c)
    taps = jnp.stack(_on_both_axes(_transform_kernel, [list(row) for row in kernel]))  # [16 C D]
    tiles = lax.optimization_barrier(tiles)  # else the transforms are computed once more for each product
    products = lax.dot_general(tiles, taps, (((2,), (1,)), ((0,), (0,))), precision=lax.Precision.HIGHEST)
    found = lax.optimization_barrier(products).reshape(4, 4, b, rows, columns, -1)
    results = _on_both_axes(_transform_products, [list(row) for row in found])  # of the 2x2 places
    y = jnp.stack(results).reshape(2, 2, b, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(b, 2 * rows, 2 * columns, -1)[:, :h, :w]


def _on_both_axes(transform: Callable[..., Sequence[Array]], square: list[list[Array]]) -> list[Array]:
    """Apply a transform to the rows of a square of arrays, then to the columns of what comes out; row by row."""
    turned = [transform(*row) for row in square]
    columns = [transform(*column) for column in zip(*turned, strict=True)]
    return list(itertools.chain(*zip(*columns, strict=True)))


def _transform_tile(d0: Array, d1: Array, d2: Array, d3: Array) -> tuple[Array, ...]:
    """Multiply by B^T."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _transform_kernel(g0: Array, g1: Array, g2: Array) -> tuple[Array, ...]:
    """Multiply by G."""
    return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2


def _transform_products(m0: Array, m1: Array, m2: Array, m3: Array) -> tuple[Array, ...]:
    """Multiply by A^T."""
    return m0 + m1 + m2, m1 - m2 - m3
