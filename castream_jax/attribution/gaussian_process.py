"""Scores behind masks as a Gaussian process: from those of some channels to those of all, and how sure they are.

    log(p / (1 - p)) = mean + f(mask) + noise,   f ~ Matérn 3/2

The mean and the variance come out of the scores themselves, the length and the noise as their means over a grid,
weighted by the likelihood: a rounding error in a score moves them a little, where a best choice could jump.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.channel_design import MaskSpace, kernel, square_distances
from castream_jax.attribution.cholesky import factorise, invert_lower

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Of the kernel, in the distances of `MaskSpace.scale`."""
NOISES = (1e-3, 1e-2, 1e-1)
"""Variance of what is no function of the mask's values on its grid, as a share of the process's."""
LEAST = 1e-6
"""Scores nearer to 0 or 1 count as this: float32 tells little more."""
UNKNOWN = 16.0
"""The variance of the log-odds, where three scores or fewer cannot tell: what is usual of trained networks."""
BLOCK = 256
"""Channels whose covariance with all others is in memory at once."""
NODES = np.polynomial.hermite_e.hermegauss(12)
"""Of the mean over a normal distribution."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Process:
    """A process that was fitted to one column of scores."""

    chosen: Int[Array, "m"]
    """The channels that it was fitted to."""
    asked: Bool[Array, "m"]
    """Whether each was asked: the others do not count."""
    length: Float[Array, ""]
    noise: Float[Array, ""]
    mean: Float[Array, ""]
    variance: Float[Array, ""]
    mean_variance: Float[Array, ""]
    """Of the mean, as a share of `variance`."""
    factor: Float[Array, "m m"]
    """Cholesky's, of the covariance of what was asked."""
    residual: Float[Array, "m"]
    """That factor's inverse times what the mean leaves of the log-odds."""


def log_odds(scores: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return `log(p / (1 - p))`, of scores no nearer to 0 or 1 than `LEAST`; NaN of what is not a number."""
    clipped = jnp.clip(scores, LEAST, 1 - LEAST)
    return jnp.log(clipped) - jnp.log1p(-clipped)


def fit(space: MaskSpace, chosen: Int[Array, "m"], asked: Bool[Array, "m"], scores: Float[Array, "m"]) -> Process:
    """Return the process of the scores of one class under one pooling.

    Args:
      space: the masks of an image's channels.
      chosen: the channels of the design.
      asked: which of them were asked.
      scores: theirs, in [0, 1]; any where not asked.
    """
    points = space.points[chosen]
    squares = square_distances(points, points)
    values = jnp.where(asked, log_odds(scores), 0.0)
    ones = asked.astype(jnp.float32)
    both, count = jnp.stack([ones, values]), jnp.maximum(ones.sum(), 2.0)

    def solve(length: Array, noise: Array) -> tuple[Array, Array, Array, Array]:
        """Return the factor, the residual, the mean with the two variances, and the log of the likelihood."""
        covariance = kernel(squares, length * space.scale) * ones[:, None] * ones[None]
        covariance = jnp.where(jnp.eye(len(ones), dtype=bool), jnp.where(asked, 1 + noise, 1.0)[:, None], covariance)
        factor, (one, value) = factorise(covariance, both)
        known = jnp.maximum((one**2).sum(), 1e-6)
        mean = (one * value).sum() / known
        residual = value - mean * one
        squared = jnp.maximum((residual**2).sum(), 1e-12)
        half = jnp.log(jnp.diagonal(factor)).sum()
        likelihood = -0.5 * count * jnp.log(squared / count) - half
        variance = jnp.where(
            count > 3, squared / jnp.maximum(count - 3, 1.0), UNKNOWN
        )  # Student's: the mean is unknown
        return factor, residual, jnp.stack([mean, variance, 1 / known]), likelihood

    grid = jnp.asarray([(length, noise) for length in LENGTHS for noise in NOISES], jnp.float32)
    likelihoods = lax.map(lambda pair: solve(pair[0], pair[1])[3], grid)
    length, noise = jnp.exp(jax.nn.softmax(likelihoods) @ jnp.log(grid))
    factor, residual, (mean, variance, mean_variance), _ = solve(length, noise)
    return Process(chosen, asked, length * space.scale, noise, mean, variance, mean_variance, factor, residual)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Posterior:
    """What a process says of the scores of all channels."""

    scores: Float[Array, "C"]
    """Their means, in [0, 1]; those that were asked as they came."""
    slopes: Float[Array, "C"]
    """How far a score moves with its log-odds; 0 where it is known."""
    half: Float[Array, "m C"]
    """The factor's inverse times the covariance with what was asked."""
    offset: Float[Array, "C"]
    """How much of the mean a channel's log-odds take over."""


def predict(space: MaskSpace, process: Process, scores: Float[Array, "m"], flat: Float[Array, ""]) -> Posterior:
    """Return the scores of all channels: `scores` where asked, `flat` where a channel is dead."""
    asked = process.asked
    points = space.points[process.chosen]
    across = (
        kernel(square_distances(points, space.points), process.length) * asked.astype(jnp.float32)[:, None]
    )  # [m C]
    inverse = invert_lower(process.factor)
    half = jnp.matmul(inverse, across, precision=lax.Precision.HIGHEST)
    one = jnp.matmul(inverse, asked.astype(jnp.float32), precision=lax.Precision.HIGHEST)
    offset = 1 - jnp.matmul(one, half, precision=lax.Precision.HIGHEST)
    mean = process.mean + jnp.matmul(process.residual, half, precision=lax.Precision.HIGHEST)
    share = 1 + process.noise - (half**2).sum(0) + offset**2 * process.mean_variance
    deviation = jnp.sqrt(process.variance * jnp.maximum(share, 1e-6))
    places, weights = (jnp.asarray(part, jnp.float32) for part in NODES)
    weights = weights / weights.sum()
    drawn = jax.nn.sigmoid(mean[:, None] + deviation[:, None] * places[None])
    expected = drawn @ weights
    slopes = jnp.sqrt(((drawn - expected[:, None]) ** 2) @ weights) / deviation
    expected = jnp.where(space.live, expected, flat)
    size = len(expected)
    kept = jnp.where(asked, process.chosen, size)
    return Posterior(
        scores=expected.at[kept].set(scores, mode="drop"),
        slopes=jnp.where(space.live, slopes, 0.0).at[kept].set(0.0, mode="drop"),
        half=half,
        offset=offset,
    )


def covariance_of_sums(
    space: MaskSpace, process: Process, posterior: Posterior, factors: Float[Array, "C n"]
) -> Float[Array, "n n"]:
    """Return the posterior covariance of `sum_k w_k factors_k`, by the slopes of the scores.

    The covariance of all channels, 16 MB for 2,048, is never in memory: it is made a block of rows at a time.
    """
    weighted = posterior.slopes[:, None] * factors  # [C n]
    size, width = weighted.shape
    padding = -size % BLOCK
    points = jnp.pad(space.points, ((0, padding), (0, 0))).reshape(-1, BLOCK, space.points.shape[1])
    rows = jnp.pad(weighted, ((0, padding), (0, 0))).reshape(-1, BLOCK, width)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        own, some = block
        covariance = kernel(square_distances(own, space.points), process.length)
        across = jnp.matmul(covariance, weighted, precision=lax.Precision.HIGHEST)
        return total + jnp.matmul(some.T, across, precision=lax.Precision.HIGHEST), None

    prior, _ = lax.scan(add, jnp.zeros((width, width)), (points, rows))
    known = jnp.matmul(posterior.half, weighted, precision=lax.Precision.HIGHEST)
    mean = jnp.matmul(posterior.offset, weighted, precision=lax.Precision.HIGHEST)
    noise = jnp.matmul(weighted.T, weighted, precision=lax.Precision.HIGHEST)
    known = jnp.matmul(known.T, known, precision=lax.Precision.HIGHEST)
    share = prior - known + process.noise * noise + process.mean_variance * mean[:, None] * mean[None]
    return process.variance * share
