"""CA-Stream: the class token that pools a network's feature maps by cross-attention (METHOD 1).

A_l     = softmax(F_l q_l / sqrt(d_l))      over positions, for each head
q_{l+1} = W_l (F_l^T A_l) + b_l

The reference draws all of it at random: the classifier knows nothing of what a fresh stream pools, and training on all
of ImageNet makes up for it. Our own start, "identity", begins where global average pooling stands.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError, choose
from castream_jax.models.layers import modules
from castream_jax.poolings.projected_attention import attend, pool_by

STARTS = ("reference", "identity")


def cross_attention_pool(
    query: Float[Array, "B C"], feature_map: Float[Array, "B H W C"], heads: int = 1
) -> tuple[Float[Array, "B C"], Float[Array, "B heads H W"]]:
    """Pool a feature map by its attention to a query.

    Args:
      query: one query for each image.
      feature_map: keys and values at once: there are no projections.
      heads: the channels are split into this many contiguous groups; the scale stays `1 / sqrt(C)`.

    Returns:
      The attention-weighted mean feature, and the attention, which sums to 1 over positions.

    Raises:
      InputError: `heads` does not divide the channels.

    Source: METHOD 1 (the paper's cross-attention without projections, residual or normalisation).
    """
    channels = feature_map.shape[-1]
    _check_heads(heads, channels)
    attention = attend(query.astype(jnp.float32), feature_map, heads, math.sqrt(channels))
    return pool_by(attention, feature_map), attention


def check_can_be_identity(width: int, features: int) -> None:
    """Raise `InputError` unless what is pooled may be the last tap itself."""
    if features != width:
        raise InputError(
            f"stream_init is 'identity', and the last tap has {width} channels where the classifier takes {features}: "
            "let the pooling end at the network's last feature map, or set stream_init='reference'."
        )


def _check_heads(heads: int, channels: int) -> None:
    if heads < 1 or channels % heads:
        raise InputError(f"heads is {heads}: it must be at least 1 and divide the {channels} channels it splits.")


class Stream(nnx.Module):
    """The trainable part: a class token and one cross-attention block for each tap."""

    def __init__(
        self,
        widths: Sequence[int],
        heads: int,
        kernel_init: nnx.Initializer,
        rngs: nnx.Rngs,
        start: str = STARTS[0],
        features: int = 0,
    ):
        """Draw fresh parameters.

        Args:
          widths: the channels of each tap.
          heads: of each block's attention.
          kernel_init: of the projections.
          rngs: random numbers.
          start: "reference": all are drawn. "identity": the last block's query is zero and its projection the
            identity, so that it attends everywhere alike and pools what GAP pools; the blocks before are drawn.
          features: what the last projection returns, which the classifier takes; 0: the last tap's channels.

        Raises:
          InputError: `heads` does not divide a width, an unknown start, or one that the last tap is too narrow for.
        """
        choose("stream_init", start, STARTS)
        features = features or widths[-1]
        if start == "identity":
            check_can_be_identity(widths[-1], features)
        for width in widths:
            _check_heads(heads, width)
        self.heads = heads
        self.query = nnx.Param(1.0 + jax.random.normal(rngs.params(), (widths[0],)))
        following = (*widths[1:], features)
        self.projections = nnx.List(
            [
                modules.linear(width, after, jnp.dtype(jnp.float32), rngs, kernel_init)
                for width, after in zip(widths, following, strict=True)
            ]
        )
        if start == "identity":
            self._begin_as_average()

    def _begin_as_average(self) -> None:
        """Let the last block pool as GAP does, and let gradients into all that its query comes from."""
        *before, last = self.projections
        last.kernel[...] = jnp.eye(last.in_features)
        if before:
            before[-1].kernel[...] = jnp.zeros_like(before[-1].kernel)
        else:
            self.query[...] = jnp.zeros_like(self.query)

    def __call__(
        self, feature_maps: Sequence[Float[Array, "B _ _ _"]]
    ) -> tuple[Float[Array, "B C"], tuple[Float[Array, "B heads _ _"], ...]]:
        """Return the pooled feature, and each block's attention."""
        query = jnp.broadcast_to(self.query[...], (feature_maps[0].shape[0], self.query.shape[0]))  # [B C]
        attentions = []
        for feature_map, projection in zip(feature_maps, self.projections, strict=True):
            pooled, attention = cross_attention_pool(query, feature_map, self.heads)
            query = projection(pooled)  # [B C_next]
            attentions.append(attention)
        return query, tuple(attentions)

    def values(self, feature_map: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """Return what the last block's attention weighs: the feature map itself."""
        return feature_map

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w C"]
    ) -> Float[Array, "B D"]:
        """Return what another attention of the last block would pool."""
        pooled: Array = self.projections[-1](pool_by(attention, feature_map))
        return pooled
