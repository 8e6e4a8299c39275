"""Noisy linear imputation (Rong et al., 2022): each missing pixel becomes the weighted mean of its eight neighbours.

That is one linear system for each image, symmetric and positive definite, solved here on the device: conjugate
gradients, preconditioned by a V-cycle over ever coarser grids. Plain conjugate gradients need hundreds of steps where
much is missing; these need `STEPS`, whatever the image's size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}
"""Of a neighbour to the right or below, by rows and columns away; those to the left and above have the same."""
STEPS = 14
"""Of conjugate gradients: the error is then about 1e-4 of the range of pixels, which is what float32 can give."""
DAMPING = 0.8
"""Of the smoother, Jacobi's."""
COARSEST = 4
"""Pixels on the shorter side of the coarsest grid, at least."""


def impute(
    images: Float[Array, "n H W C"], missing: Bool[Array, "n H W"], steps: int = STEPS
) -> Float[Array, "n H W C"]:
    """Return images whose missing pixels are the weighted means of their neighbours; the other ones stay.

    Neighbours outside of the image do not count. An image of which all is missing becomes zeros.

    Args:
      images: of any scale.
      missing: where pixels are missing; what stands there is not read.
      steps: of conjugate gradients.
    """
    height, width = missing.shape[1:]
    halvings = max(0, int(math.log2(min(height, width) / COARSEST))) if min(height, width) >= COARSEST else 0
    more = [(0, -length % 2**halvings) for length in (height, width)]
    hole = jnp.pad(missing, ((0, 0), *more))[:, None].astype(jnp.float32)  # [n 1 H W]
    known = jnp.where(missing[..., None], 0, images).transpose(0, 3, 1, 2)  # width last: three channels fill no lane
    known = jnp.pad(known, ((0, 0), (0, 0), *more))  # [n C H W]
    inside = jnp.pad(jnp.ones((1, 1, height, width)), ((0, 0), (0, 0), *more))
    grids = _coarsen(Grid.finest(hole, inside), halvings)
    drawn = sum(weight * around(known, *step) for step, weight in WEIGHTS.items())
    found = known + hole * _solve(grids, hole * drawn, steps)
    return jnp.where(missing[..., None], found[:, :, :height, :width].transpose(0, 2, 3, 1), images)


def look(values: Float[Array, "*n H W"], rows: int, columns: int) -> Float[Array, "*n H W"]:
    """Return at each pixel the value of the one so many rows and columns away; 0 outside."""
    height, width = values.shape[-2:]
    wide = jnp.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)])
    return wide[..., 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]


def around(values: Float[Array, "*n H W"], rows: int, columns: int) -> Float[Array, "*n H W"]:
    """Return the sum of the values of both neighbours along a direction."""
    return look(values, rows, columns) + look(values, -rows, -columns)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Grid:
    """The system on one grid, as springs: between missing neighbours, and from missing pixels to known ones."""

    springs: tuple[Float[Array, "n 1 h w"], ...]
    """In the order of `WEIGHTS`: between each pixel and the neighbour in that direction."""
    backs: tuple[Float[Array, "n 1 h w"], ...]
    """The same, seen from the other end."""
    anchors: Float[Array, "n 1 h w"]
    """To all known neighbours."""
    diagonal: Float[Array, "n 1 h w"]
    """All that holds each pixel; 0 where nothing is to be found."""

    @classmethod
    def of(cls, springs: tuple[Float[Array, "n 1 h w"], ...], anchors: Float[Array, "n 1 h w"]) -> "Grid":
        """Return the grid of these springs."""
        backs = tuple(look(spring, -r, -c) for spring, (r, c) in zip(springs, WEIGHTS))
        return cls(springs, backs, anchors, sum((*springs, *backs), anchors))

    @classmethod
    def finest(cls, hole: Float[Array, "n 1 H W"], inside: Float[Array, "1 1 H W"]) -> "Grid":
        """Return that of the pixels: 1 where one is missing, and 1 where there is an image."""
        springs = tuple(weight * hole * look(hole, *step) for step, weight in WEIGHTS.items())
        anchors = sum(weight * hole * around(inside - hole, *step) for step, weight in WEIGHTS.items())
        return cls.of(springs, jnp.asarray(anchors))

    def apply(self, x: Float[Array, "n C h w"]) -> Float[Array, "n C h w"]:
        """Return the system's product with x."""
        height, width = x.shape[2:]
        wide = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        found = self.diagonal * x
        for spring, back, (r, c) in zip(self.springs, self.backs, WEIGHTS):
            found = found - spring * wide[:, :, 1 + r : 1 + r + height, 1 + c : 1 + c + width]
            found = found - back * wide[:, :, 1 - r : 1 - r + height, 1 - c : 1 - c + width]
        return found

    def relax(self, x: Float[Array, "n C h w"]) -> Float[Array, "n C h w"]:
        """Return x by the diagonal, damped: a step of the smoother, and 0 where nothing is to be found."""
        return jnp.where(self.diagonal > 0, DAMPING * x / jnp.where(self.diagonal > 0, self.diagonal, 1), 0)

    def halve(self) -> "Grid":
        """Return the grid of blocks of 2x2 pixels.

        A spring between two blocks is half the sum of those between their pixels: the same bend has twice the slope
        there. Those to known pixels add up.
        """
        right, below, right_below, left_below = self.springs
        even, odd = slice(0, None, 2), slice(1, None, 2)

        def at(values: Array, rows: slice, columns: slice) -> Array:
            return values[..., rows, columns]

        springs = (
            at(right, even, odd) + at(right, odd, odd) + at(right_below, even, odd)
            + look(at(left_below, even, even), 0, 1),
            at(below, odd, even) + at(below, odd, odd) + at(right_below, odd, even) + at(left_below, odd, odd),
            at(right_below, odd, odd),
            at(left_below, odd, even),
        )  # fmt: skip
        halved = tuple(spring / 2 for spring in springs)
        anchors = sum(at(self.anchors, r, c) for r in (even, odd) for c in (even, odd))
        return Grid.of(halved, jnp.asarray(anchors))


def _coarsen(grid: Grid, halvings: int) -> list[Grid]:
    """Return a grid and the coarser ones."""
    grids = [grid]
    for _ in range(halvings):
        grids.append(grids[-1].halve())
    return grids


def _cycle(grids: Sequence[Grid], b: Float[Array, "n C h w"]) -> Float[Array, "n C h w"]:
    """Return about the solution for b: smoothed, corrected by the coarser grids, and smoothed again."""
    grid, coarser = grids[0], grids[1:]
    x = grid.relax(b)
    if coarser:
        rest = b - grid.apply(x)
        half = jax.ShapeDtypeStruct((*b.shape[:2], b.shape[2] // 2, b.shape[3] // 2), b.dtype)
        (narrow,) = jax.linear_transpose(_widen, half)(rest)
        x = x + jnp.where(grid.diagonal > 0, _widen(_cycle(coarser, narrow)), 0)
    for _ in range(1 if coarser else 8):
        x = x + grid.relax(b - grid.apply(x))
    return x


def _widen(x: Float[Array, "n C h w"]) -> Float[Array, "n C H W"]:
    """Return x at twice the size, interpolated linearly."""
    for axis in (2, 3):
        first, last = (jnp.take(x, jnp.asarray([place]), axis) for place in (0, x.shape[axis] - 1))
        inner = [jax.lax.slice_in_dim(x, *ends, axis=axis) for ends in ((0, x.shape[axis] - 1), (1, x.shape[axis]))]
        before, after = jnp.concatenate([first, inner[0]], axis), jnp.concatenate([inner[1], last], axis)
        both = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def _solve(grids: Sequence[Grid], b: Float[Array, "n C H W"], steps: int) -> Float[Array, "n C H W"]:
    """Return the solution for b of each image and channel, after so many steps of conjugate gradients."""

    def dot(x: Array, y: Array) -> Array:
        return (x * y).sum((2, 3), keepdims=True)

    def divide(x: Array, y: Array) -> Array:
        return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)

    def step(_: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        x, rest, towards, size = state
        bent = grids[0].apply(towards)
        far = divide(size, dot(towards, bent))
        x, rest = x + far * towards, rest - far * bent
        better = _cycle(grids, rest)
        new = dot(rest, better)
        return x, rest, better + divide(new, size) * towards, new

    first = _cycle(grids, b)
    return jax.lax.fori_loop(0, steps, step, (jnp.zeros_like(b), b, first, dot(b, first)))[0]
