"""Log-sum-exp pooling: between the mean and the maximum, by a learned sharpness (Pinheiro and Collobert, 2015)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.poolings.pooling import Pooled, Pooling, Site


class LogSumExp(nnx.Module):
    """One sharpness for all channels."""

    def __init__(self, site: Site, sharpness: float):
        self.sharpness = nnx.Param(jnp.full((), sharpness))

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return `log(mean exp(r x)) / r` of each channel of the last map, and no attention."""
        x, r = feature_maps[-1].astype(jnp.float32), self.sharpness[...]
        positions = x.shape[1] * x.shape[2]
        return (jax.nn.logsumexp(r * x, (1, 2)) - jnp.log(positions)) / r, ()


LOG_SUM_EXP = Pooling(
    key="lse",
    name="LSE",
    meaning="The logarithm of the mean exponential of the last feature map, between its mean and its maximum.",
    source="Pinheiro and Collobert, 2015",
    trains="its sharpness",
    create=LogSumExp,
    options={"sharpness": 1.0},
)
