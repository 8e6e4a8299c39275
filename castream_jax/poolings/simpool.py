"""SimPool: one cross-attention whose query is the mean, and a generalised mean of what it attends to.

q = W_Q GAP(X),  K = LN(X) W_K,  V = LN(X)
a = softmax(K q / sqrt(d))                            over positions, for each head
u = (sum_i a_i (V_i - min V + eps)^gamma)^(1/gamma)   gamma = 0: sum_i a_i V_i

The minimum is over an image: the authors' code takes that over the batch, and what an image gives would depend on its
neighbours.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from castream_jax.errors import InputError
from castream_jax.models.kernels.convolution import PRECISION, per_channel
from castream_jax.models.layers import modules
from castream_jax.poolings.pooling import Pooled, Pooling, Site, check_divides
from castream_jax.poolings.projected_attention import attend, pool_by

EPSILON = 1e-6
LARGEST_GAMMA, SMALLEST = 10, 1e-37
"""Where all that is attended to is so far below a channel's largest value that its power is none in float32, it counts
as the smallest: with these as 2e-4 of the largest."""


class SimPool(nnx.Module):
    """The query's and the keys' projections, and the layer normalisation of keys and values."""

    def __init__(self, site: Site, gamma: float, heads: int, project: bool):
        """Draw fresh parameters; `InputError` for a gamma out of range, or heads that do not divide the width."""
        if not 0 <= gamma <= LARGEST_GAMMA:
            raise InputError(f"simpool's gamma is {gamma:g}: expected 0, which is a plain mean, to {LARGEST_GAMMA}.")
        width, float32 = site.widths[-1], jnp.dtype(jnp.float32)
        check_divides("heads of simpool", heads, width)
        self.gamma, self.heads = int(gamma) if gamma == int(gamma) else gamma, heads  # whole powers are products
        self.norm = modules.layer_norm(width, float32, site.rngs)
        self.query = nnx.Param(site.initializer(site.rngs.params(), (width, width), jnp.float32))
        self.key = nnx.Param(site.initializer(site.rngs.params(), (width, width), jnp.float32))
        self.project = modules.linear(width, site.features, float32, site.rngs, site.initializer) if project else None

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return the pooled feature, and the attention."""
        feature_map = feature_maps[-1]
        x = feature_map.astype(jnp.float32)
        query = jnp.matmul(x.mean((1, 2)), self.query[...], precision=PRECISION)  # [B C]
        scale = math.sqrt(x.shape[-1] // self.heads)
        key = self._gain()[0][:, None] * self.key[...]  # the keys' part of the bias is the same everywhere
        attention = attend(query, standardise(x), self.heads, scale, key)
        return self.repool(attention, feature_map), (attention,)

    def values(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """Return the normalised feature map."""
        scale, bias = map(per_channel, self._gain())
        return standardise(feature_map.astype(jnp.float32)) * scale + bias

    def _gain(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Return the scale and the bias of the normalisation."""
        assert self.norm.scale is not None
        assert self.norm.bias is not None
        return self.norm.scale[...], self.norm.bias[...]

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w C"]
    ) -> Float[Array, "B D"]:
        """Return the generalised mean by that attention."""
        values = self.values(feature_map)
        if not self.gamma:
            pooled = pool_by(attention, values)
        else:  # as shares of the largest: no power overflows
            above = jnp.maximum(values - take_least(values.reshape(len(values), -1))[..., None, None], 0) + EPSILON
            largest = lax.stop_gradient(above.max((1, 2)))  # of which what is returned does not depend
            sums = pool_by(attention, (above / largest[:, None, None]) ** self.gamma)
            pooled = jnp.maximum(sums, SMALLEST) ** (1 / self.gamma) * largest
        return pooled if self.project is None else self.project(pooled)


def standardise(x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
    """Return each position's channels with mean 0 and variance 1: a layer normalisation before its scale and bias."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + EPSILON)


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
