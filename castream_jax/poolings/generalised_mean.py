"""Generalised-mean pooling (GeM): between the mean and the maximum, with a learned exponent.

u_c = (mean_i max(F_ic, 1e-6)^p)^(1/p)
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from castream_jax.errors import InputError
from castream_jax.poolings.pooling import Pooled, Pooling, Site

SMALLEST = 1e-6
"""What values below it count as: a power of a negative number is none."""


class GeneralisedMean(nnx.Module):
    """One exponent for all channels, p = 1 being the mean of what is positive."""

    def __init__(self, site: Site, p: float):
        """Start at an exponent above 0; `InputError` for another."""
        if not p > 0:
            raise InputError(f"gem's p is {p:g}: expected a number above 0; 1 is the mean, a large one the maximum.")
        del site
        self.exponent = nnx.Param(jnp.full((), p, jnp.float32))

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return each channel's generalised mean.

        By logarithms, one for each value where powers and their slopes take several. The largest is taken out before
        the power, so that none overflows; it has no slope of its own, as what is returned does not depend on it.
        """
        logs = jnp.log(jnp.maximum(feature_maps[-1].astype(jnp.float32), SMALLEST))
        p = self.exponent[...]
        largest = lax.stop_gradient(logs.max((1, 2), keepdims=True))
        mean = jnp.mean(jnp.exp(p * (logs - largest)), (1, 2))  # [B C]
        return jnp.exp(jnp.log(mean) / p + largest[:, 0, 0]), ()


GENERALISED_MEAN = Pooling(
    key="gem",
    name="GeM",
    meaning="The generalised mean of the last feature map, between its mean and its maximum.",
    source="Radenović, Tolias and Chum, 2018",
    trains="its exponent",
    create=GeneralisedMean,
    options={"p": 3.0},
)
