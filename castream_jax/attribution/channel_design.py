"""Which channels of an image to ask for, chosen from their masks.

The score behind a mask is a smooth function of the mask. A channel tells most where its mask is far from those that are
asked already and where it weighs much in the map: a greedy design, which is Cholesky's decomposition with pivoting. Its
beginnings are the designs of fewer channels. It needs no scores, and so serves every class and pooling; what some
scores say of the others can be put in its weights.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.compute.masking import interpolation_matrix

FLOOR = 0.2
"""What is added to a channel's strength, 1 for the strongest: weak ones tell of strong ones like them."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MaskSpace:
    """The channels of one image, or of several, as points: two are as far apart as their masks in the image."""

    points: Float[Array, "*B C n"]
    """Of dead channels any."""
    live: Bool[Array, "*B C"]
    """Which channels are not flat."""
    scale: Float[Array, "*B"]
    """About the median distance of two live ones."""
    strength: Float[Array, "*B C"]
    """The largest |A^k|, 1 for the strongest channel."""


def measure_masks(feature_map: Float[Array, "h w C"], size: tuple[int, int]) -> MaskSpace:
    """Return the masks of one image's channels as points.

    Masks are what `Masks.make` multiplies with, but scaled before they are interpolated to the image's `size`. Their
    distance there is a quadratic form in the few values of the feature map, so no image is made of them.
    """
    channels = feature_map.astype(jnp.float32).transpose(2, 0, 1)  # [C h w]
    low, high = channels.min((1, 2)), channels.max((1, 2))
    live = high > low
    masks = (channels - low[:, None, None]) / jnp.where(live, high - low, 1.0)[:, None, None]
    rows, columns = (_root(length, large) for length, large in zip(channels.shape[1:], size))
    points = jnp.einsum("chw,hi,wj->cij", masks, rows, columns, precision=lax.Precision.HIGHEST)
    points = points.reshape(len(points), -1)
    count = jnp.maximum(live.sum(), 1).astype(jnp.float32)
    middle = jnp.where(live[:, None], points, 0.0).sum(0) / count
    points = points - middle[None]  # distances lose fewer digits
    spread = jnp.where(live, (points**2).sum(1), 0.0).sum() / count
    strength = jnp.abs(channels).max((1, 2))
    largest = strength.max()
    return MaskSpace(
        points=points,
        live=live,
        scale=jnp.sqrt(jnp.where(spread > 0, 2 * spread, 1.0)),
        strength=strength / jnp.where(largest > 0, largest, 1.0),
    )


def _root(length: int, large: int) -> Float[np.ndarray, "length length"]:
    """Return R with `|x R| = |M x|`, up to a factor, of the matrix M that interpolates a line to `large` values."""
    matrix = interpolation_matrix(length, max(large, length), align_corners=True).astype(np.float64)
    return np.linalg.cholesky(matrix.T @ matrix / len(matrix)).astype(np.float32)


def kernel(squares: Float[Array, "*n"], length: Float[Array, ""]) -> Float[Array, "*n"]:
    """Return Matérn's covariance of order 3/2 for squared distances."""
    r = jnp.sqrt(3 * jnp.maximum(squares, 0.0)) / length
    return (1 + r) * jnp.exp(-r)


def square_distances(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Return the squared distance of each two points."""
    products = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    return (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * products


def choose_channels(
    space: MaskSpace,
    count: int,
    begun: Int[Array, "first"] | None = None,
    weight: Float[Array, "C"] | None = None,
) -> tuple[Int[Array, "count"], Bool[Array, "count"]]:
    """Return which channels to ask for, in the order of the design, and whether each is to be asked.

    The next is always the one whose log-odds are least known, times its weight. An image that has fewer live channels
    than `count` asks for all of them; the rest is not to be asked.

    Args:
      space: the masks.
      count: channels in all.
      begun: what a design begins with; None: nothing.
      weight: of the channels after that; None: their strength and a floor.
    """
    weight = space.strength + FLOOR if weight is None else weight
    given = 0 if begun is None else len(begun)
    start = jnp.zeros(count, jnp.int32) if begun is None else jnp.pad(begun, (0, count - given))

    def add(step: Array, state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        variance, factor, free, chosen = state
        pick = jnp.where(free, variance * weight, -1.0).argmax().astype(jnp.int32)
        pick = jnp.where(step < given, start[step], pick)
        squares = ((space.points - space.points[pick][None]) ** 2).sum(1)
        known = jnp.matmul(factor, factor[pick], precision=lax.Precision.HIGHEST)  # later columns are 0 still
        column = (kernel(squares, space.scale) - known) / jnp.sqrt(jnp.maximum(variance[pick], 1e-6))
        return (
            jnp.maximum(variance - column**2, 0.0),
            factor.at[:, step].set(column),
            free.at[pick].set(False),
            chosen.at[step].set(pick),
        )

    size = len(space.points)
    nothing = jnp.ones(size), jnp.zeros((size, count)), space.live, jnp.zeros(count, jnp.int32)
    chosen = lax.fori_loop(0, count, add, nothing)[3]
    return chosen, jnp.arange(count) < space.live.sum()
