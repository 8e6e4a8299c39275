"""Efficient probing: several learned queries attend to the last feature map, each pools its part of the values.

a_m = softmax(X q_m / sqrt(d)),  V = X W_V,  u = [sum_i a_1i V_1i, ..., sum_i a_Mi V_Mi]

V_m is the m-th of M equal parts of the channels. Keys are the features themselves.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import choose
from castream_jax.models.kernels.convolution import PRECISION
from castream_jax.poolings.pooling import Pooled, Pooling, Site, check_divides
from castream_jax.poolings.projected_attention import attend_alike, pool_by
from castream_jax.poolings.stream import STARTS, check_can_be_identity

DEVIATION = 0.02
"""Of the queries, as the authors draw them."""


class EfficientProbing(nnx.Module):
    """The queries and the values' projection."""

    def __init__(self, site: Site, queries: int, stream_init: str):
        """Draw fresh parameters, or with "identity" let values be the features: nearly their mean is pooled then.

        Raises:
          InputError: queries that do not divide what the classifier takes, an unknown start, or one that the last map
            is too narrow for.
        """
        check_divides("queries of ep", queries, site.features)
        width, key = site.widths[-1], site.rngs.params()
        self.queries = nnx.Param(DEVIATION * jax.random.normal(key, (queries, width)))
        drawn = site.initializer(site.rngs.params(), (width, site.features), jnp.float32)
        if choose("stream_init", stream_init, STARTS) == "identity":
            check_can_be_identity(width, site.features)
            drawn = jnp.eye(width)
        self.value = nnx.Param(drawn)

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return the pooled feature, and each query's attention."""
        feature_map = feature_maps[-1]
        attention = attend_alike(self.queries[...], feature_map, math.sqrt(feature_map.shape[-1]))
        return self.repool(attention, feature_map), (attention,)

    def values(self, feature_map: Float[Array, "B h w D"]) -> Float[Array, "B h w C"]:
        """Return the projected feature map."""
        return jnp.matmul(feature_map.astype(jnp.float32), self.value[...], precision=PRECISION)

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w D"]
    ) -> Float[Array, "B C"]:
        """Return what that attention would pool."""
        return pool_by(attention, feature_map, self.value[...])


EFFICIENT_PROBING = Pooling(
    key="ep",
    name="Efficient probing",
    meaning="Several learned queries, each of which pools its part of the channels of the last feature map.",
    source="Psomas et al., 2025",
    trains="its queries and a projection of the values",
    create=EfficientProbing,
    has_attention=True,
    options={"queries": 32, "stream_init": STARTS[0]},
)
