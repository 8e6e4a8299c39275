"""How far a map of estimated weights can be from the exact one: maps are drawn as the process says, and compared."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from castream_jax.attribution.channel_design import MaskSpace
from castream_jax.attribution.cholesky import factorise
from castream_jax.attribution.gaussian_process import Posterior, Process, covariance_of_sums
from castream_jax.compute.masking import min_max

SURE = 0.95
"""The share of positions, and of maps, that intervals are to hold."""
DRAWN = 256
"""Maps, always from the same numbers."""
WIDER = 1.5
"""What deviations are multiplied by. The design asks for masks that are far from each other, which a process finds
smoother than those between them: seen on 80 pictures under EfficientNet-Lite0, checked on others
(`benchmarks.score_cam_few`)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Interval:
    """Of one map in [0, 1], or several."""

    low: Float[Array, "*B h w"]
    high: Float[Array, "*B h w"]
    """Each position by itself."""
    error: Float[Array, "*B"]
    """What the largest difference of any position is below, of the map as a whole."""


def draw_interval(
    feature_map: Float[Array, "h w C"], space: MaskSpace, process: Process, posterior: Posterior
) -> Interval:
    """Return between what the exact map lies, from maps that are drawn of the posterior."""
    h, w, size = feature_map.shape
    channels = feature_map.astype(jnp.float32).reshape(h * w, size)
    in_channels = size < h * w  # the smaller of two covariances tells the same
    factors = jnp.eye(size) if in_channels else channels.T
    covariance = covariance_of_sums(space, process, posterior, factors)
    root = _root(covariance)
    normal = jax.random.normal(jax.random.key(0), (DRAWN, len(root)))
    moved = WIDER * jnp.matmul(normal, root.T, precision=lax.Precision.HIGHEST)
    if in_channels:
        moved = jnp.matmul(moved, channels.T, precision=lax.Precision.HIGHEST)
    sums = jnp.matmul(channels, posterior.scores, precision=lax.Precision.HIGHEST)
    found, drawn = _scale(sums), _scale(sums[None] + moved)
    outside = (1 - SURE) / 2
    low, high = jnp.quantile(drawn, jnp.asarray([outside, 1 - outside]), axis=0)
    error = jnp.quantile(jnp.abs(drawn - found[None]).max(1), SURE)
    return Interval(jnp.minimum(low, found).reshape(h, w), jnp.maximum(high, found).reshape(h, w), error)


def _root(covariance: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Return Cholesky's factor, of a matrix that rounding may have left without one: then of its diagonal alone.

    What is added to the diagonal moves the largest deviation by 0.005 %. No eigenvectors, whose signs are free: they
    would draw other maps on another device.
    """
    diagonal = jnp.maximum(jnp.diagonal(covariance), 0.0)
    added = 1e-4 * diagonal.max() + 1e-20
    definite = (covariance + covariance.T) / 2 + added * jnp.eye(len(covariance))
    root, _ = factorise(definite, jnp.zeros((0, len(covariance))))
    return jnp.where(jnp.isfinite(root).all(), root, jnp.diag(jnp.sqrt(diagonal)))


def _scale(sums: Float[Array, "*n p"]) -> Float[Array, "*n p"]:
    """Return maps as `Method.scale` does."""
    return min_max(jax.nn.relu(sums)[..., None, :])[..., 0, :]
