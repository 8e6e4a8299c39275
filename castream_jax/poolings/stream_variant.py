"""The stream with what its authors tried beside the published one: keys and values, one width, feed-forward layers.

K_l = F_l W_K + b,  V_l = F_l W_V + b              with learned keys and values; else both are F_l
A_l = softmax(K_l q_l / sqrt(w_l))                 over positions, for each head
q   = W_l (V_l^T A_l) + b_l
q   = W_2 gelu(W_1 q + b_1) + b_2                  with a feed-forward layer of twice the width

The published stream has none of these. One width throughout needs learned keys and values, which bring each map to it.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError
from castream_jax.models.layers import modules
from castream_jax.poolings.pooling import Pooled, Site, check_divides
from castream_jax.poolings.projected_attention import attend, pool_by, read_linear

WIDER = 2
"""The width of a feed-forward layer, in widths of its query."""


class VariantBlock(nnx.Module):
    """One tap's: from a query and a feature map to the next query."""

    def __init__(self, site: Site, channels: int, widths: tuple[int, int], learned: bool, feed_forward: bool):
        """Draw fresh parameters, for queries of the first width that become those of the second."""
        width, following = widths

        def draw(inside: int, outside: int) -> nnx.Linear:
            return modules.linear(inside, outside, jnp.dtype(jnp.float32), site.rngs, site.initializer)

        self.key, self.value = (draw(channels, width) if learned else None for _ in range(2))
        self.project = draw(width, following)
        self.expand = draw(following, WIDER * following) if feed_forward else None
        self.reduce = draw(WIDER * following, following) if feed_forward else None

    def attend(
        self, query: Float[Array, "B D"], feature_map: Float[Array, "B H W C"], heads: int
    ) -> Float[Array, "B heads H W"]:
        """Return the query's attention to the positions."""
        kernel = None if self.key is None else self.key.kernel[...]
        return attend(query, feature_map, heads, math.sqrt(query.shape[-1]), kernel)

    def values(self, feature_map: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """Return what the attention weighs."""
        x = feature_map.astype(jnp.float32)
        found: Array = x if self.value is None else self.value(x)
        return found

    def pool_by(
        self, attention: Float[Array, "B heads H W"], feature_map: Float[Array, "B H W C"]
    ) -> Float[Array, "B D"]:
        """Return the next query by an attention."""
        if self.value is None:
            return self.follow(pool_by(attention, feature_map))
        return self.follow(pool_by(attention, feature_map, *read_linear(self.value)))

    def follow(self, pooled: Float[Array, "B D"]) -> Float[Array, "B E"]:
        """Return the next query."""
        query: Array = self.project(pooled)
        if self.expand is None or self.reduce is None:
            return query
        changed: Array = self.reduce(modules.gelu(self.expand(query)))
        return changed


class StreamVariant(nnx.Module):
    """A class token and one block for each tap."""

    def __init__(self, site: Site, heads: int, learned: bool, feed_forward: bool, width: int):
        """Draw fresh parameters.

        Args:
          site: whose taps are read; the last query has the width that the classifier takes.
          heads: of each block's attention.
          learned: each block has keys and values of its own.
          feed_forward: each block ends in a feed-forward layer.
          width: of all queries; 0: each has that of the map that it attends to.

        Raises:
          InputError: heads that do not divide a width, or one width without learned keys and values.
        """
        if width < 0:
            raise InputError(f"ca's width is {width}: expected channels, or 0 for those of each feature map.")
        if width and not learned:
            raise InputError(
                f"ca's width is {width}, and its keys and values are the feature maps, whose widths differ: set "
                "keys_values=learned."
            )
        queries = [width] * len(site.widths) if width else list(site.widths)
        for each in queries:
            check_divides("heads", heads, each)
        self.heads = heads
        self.query = nnx.Param(1.0 + jax.random.normal(site.rngs.params(), (queries[0],)))
        following = [*queries[1:], site.features]
        self.blocks = nnx.List(
            [
                VariantBlock(site, channels, widths, learned, feed_forward)
                for channels, widths in zip(site.widths, zip(queries, following, strict=True), strict=True)
            ]
        )

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return the pooled feature, and each block's attention."""
        query = jnp.broadcast_to(self.query[...], (feature_maps[0].shape[0], self.query.shape[0]))  # [B W]
        attentions = []
        for feature_map, block in zip(feature_maps, self.blocks, strict=True):
            attentions.append(block.attend(query, feature_map, self.heads))
            query = block.pool_by(attentions[-1], feature_map)
        return query, tuple(attentions)

    def values(self, feature_map: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """Return what the last block's attention weighs."""
        found: Array = self.blocks[-1].values(feature_map)
        return found

    def repool(
        self, attention: Float[Array, "B heads H W"], feature_map: Float[Array, "B H W C"]
    ) -> Float[Array, "B D"]:
        """Return what another attention of the last block would pool."""
        pooled: Array = self.blocks[-1].pool_by(attention, feature_map)
        return pooled
