"""SimPool: one cross-attention whose query is the mean, and a generalised mean of what it attends to.

q = W_Q GAP(X),  K = LN(X) W_K,  V = LN(X)
a = softmax(K q / sqrt(d))                            over positions, for each head
u = (sum_i a_i (V_i - min V + eps)^gamma)^(1/gamma)   gamma = 0: sum_i a_i V_i

The minimum is over an image: the authors' code takes that over the batch, and what an image gives would depend on its
neighbours.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError
from castream_jax.models.kernels.convolution import PRECISION
from castream_jax.models.layers import modules
from castream_jax.poolings.pooling import Pooled, Pooling, Site, check_divides

EPSILON = 1e-6


class SimPool(nnx.Module):
    """The query's and the keys' projections, and the layer normalisation of keys and values."""

    def __init__(self, site: Site, gamma: float, heads: int, project: bool):
        """Draw fresh parameters; `InputError` for a gamma below 0, or heads that do not divide the width."""
        if gamma < 0:
            raise InputError(f"simpool's gamma is {gamma:g}: expected a number above 0, or 0 for a plain mean.")
        width, float32 = site.widths[-1], jnp.dtype(jnp.float32)
        check_divides("heads of simpool", heads, width)
        self.gamma, self.heads = gamma, heads
        self.norm = modules.layer_norm(width, float32, site.rngs)
        self.query = nnx.Param(site.initializer(site.rngs.params(), (width, width), jnp.float32))
        self.key = nnx.Param(site.initializer(site.rngs.params(), (width, width), jnp.float32))
        self.project = modules.linear(width, site.features, float32, site.rngs, site.initializer) if project else None

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return the pooled feature, and the attention."""
        feature_map = feature_maps[-1]
        x = feature_map.astype(jnp.float32)
        b, h, w, c = x.shape
        query = jnp.matmul(x.mean((1, 2)), self.query[...], precision=PRECISION)  # [B C]
        keys = jnp.matmul(self.values(x), self.key[...], precision=PRECISION)  # [B h w C]
        apart = (b, h * w, self.heads, c // self.heads)
        scores = jnp.einsum(
            "bkc,bnkc->bkn", query.reshape(b, *apart[2:]), keys.reshape(apart), precision=PRECISION
        )  # [B heads N]
        attention = jax.nn.softmax(scores / math.sqrt(c // self.heads), -1).reshape(b, self.heads, h, w)
        return self.repool(attention, feature_map), (attention,)

    def values(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """Return the normalised feature map."""
        normalised: Array = self.norm(feature_map.astype(jnp.float32))
        return normalised

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w C"]
    ) -> Float[Array, "B C"]:
        """Return the generalised mean by that attention."""
        values = self.values(feature_map)
        b, h, w, c = values.shape
        apart = values.reshape(b, h, w, self.heads, c // self.heads)
        if not self.gamma:
            pooled = jnp.einsum("bkhw,bhwkc->bkc", attention, apart, precision=PRECISION)
        else:  # by logarithms: no power over- or underflows
            above = jnp.maximum(apart - take_least(values.reshape(b, -1))[..., None, None, None], 0) + EPSILON
            weights = jnp.moveaxis(attention, 1, -1)[..., None]  # [B h w heads 1]
            pooled = jnp.exp(jax.nn.logsumexp(self.gamma * jnp.log(above), (1, 2), b=weights) / self.gamma)
        pooled = pooled.reshape(b, c)
        return pooled if self.project is None else self.project(pooled)


def take_least(values: Float[Array, "B N"]) -> Float[Array, "B 1"]:
    """Return each image's least value, by its place.

    The slope of `min` goes to the places that equal it: compiled, these may be computed again and differ in the last
    bit, so that none does, and it is divided by zero.
    """
    return jnp.take_along_axis(values, values.argmin(1, keepdims=True), axis=1)


SIMPOOL = Pooling(
    key="simpool",
    name="SimPool",
    meaning="A generalised mean of the last feature map, weighted by its attention to its own mean.",
    source="Psomas et al., 2023",
    trains="two projections and a layer normalisation",
    create=SimPool,
    has_attention=True,
    options={"gamma": 2.0, "heads": 1, "project": False},
)
