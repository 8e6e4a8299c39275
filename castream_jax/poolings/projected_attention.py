"""Attention whose projections no position pays for.

Keys k_n = W_K x_n + b:    q . k_n = (W_K' q) . x_n + q . b, and softmax does not see what is the same everywhere
Values v_n = W_V x_n + b:  sum_n a_n v_n = W_V (sum_n a_n x_n) + b sum_n a_n

So a projection is applied to a query or to a mean, and not to each of the H W positions, which would cost as much as a
tenth of a ResNet-50. The channels are split into contiguous groups, one for each head.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.models.kernels.convolution import PRECISION


def attend(
    query: Float[Array, "B D"],
    feature_map: Float[Array, "B H W C"],
    heads: int,
    scale: float,
    kernel: Float[Array, "C D"] | None = None,
) -> Float[Array, "B heads H W"]:
    """Return the softmax attention of each image's query to its positions.

    Args:
      query: one for each image.
      feature_map: what the keys are projected from.
      heads: among which the D channels of query and keys are split.
      scale: what scores are divided by.
      kernel: the projection to keys, whose bias makes no difference; None: the feature map is the keys, and D is C.
    """
    if kernel is None:  # heads as zeros, not as an axis of the keys: which XLA would transpose, at half a trunk's cost
        queries = query[:, None] * _own_channels(heads, query.shape[-1])[None]
    else:
        apart = kernel.reshape(len(kernel), heads, -1)  # [C heads D/heads]
        parts = query.reshape(len(query), heads, -1)  # [B heads D/heads]
        queries = jnp.einsum("bkd,ckd->bkc", parts, apart, precision=PRECISION)
    b, h, w, c = feature_map.shape
    keys = feature_map.astype(jnp.float32).reshape(b, h * w, c)
    scores = jnp.einsum("bkc,bnc->bkn", queries, keys, precision=PRECISION) / scale
    return jax.nn.softmax(scores, axis=-1).reshape(b, heads, h, w)


def attend_alike(
    queries: Float[Array, "heads C"], feature_map: Float[Array, "B H W C"], scale: float
) -> Float[Array, "B heads H W"]:
    """Return the softmax attention to positions of queries that are the same for all images, with all channels each."""
    b, h, w, c = feature_map.shape
    keys = feature_map.astype(jnp.float32).reshape(b * h * w, c)  # one product for the batch
    scores = jnp.matmul(keys, queries.T, precision=PRECISION).reshape(b, h, w, -1) / scale
    return jnp.moveaxis(jax.nn.softmax(scores, axis=(1, 2)), -1, 1)


def pool_by(
    attention: Float[Array, "B heads H W"],
    feature_map: Float[Array, "B H W C"],
    kernel: Float[Array, "C D"] | None = None,
    bias: Float[Array, " D"] | None = None,
) -> Float[Array, "B D"]:
    """Return the sum of values by an attention, each head's of its part of the channels.

    Args:
      attention: weights, which need not sum to 1.
      feature_map: what the values are projected from.
      kernel: the projection to values; None: the feature map is the values, and D is C.
      bias: of the projection.
    """
    b, heads, h, w = attention.shape
    features = feature_map.astype(jnp.float32).reshape(b, h * w, -1)
    sums = jnp.einsum("bkn,bnc->bkc", attention.reshape(b, heads, -1), features, precision=PRECISION)
    if kernel is None:
        return (sums * _own_channels(heads, sums.shape[-1])[None]).sum(1)
    apart = jnp.moveaxis(kernel.reshape(len(kernel), heads, -1), 1, 0)  # [heads C D/heads]
    pooled = jnp.moveaxis(jnp.matmul(jnp.moveaxis(sums, 1, 0), apart, precision=PRECISION), 0, 1)  # [B heads D/heads]
    if bias is not None:
        pooled += attention.sum((2, 3))[..., None] * bias.reshape(heads, -1)[None]
    return pooled.reshape(b, -1)


def read_linear(layer: nnx.Linear) -> tuple[Float[Array, "C D"], Float[Array, " D"]]:
    """Return a projection's kernel and bias."""
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]


def _own_channels(heads: int, channels: int) -> np.ndarray:
    """Return [heads C]: 1 where a channel is of a head."""
    return np.repeat(np.eye(heads, dtype=np.float32), channels // heads, axis=1)
