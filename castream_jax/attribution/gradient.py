"""The gradient of a class's logit with respect to a feature map: nothing runs backward before that map."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Head


def gradient(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B h w C"]:
    """Return the gradient of each image's logit of its label with respect to its feature map, in float32."""
    logits, pull_back = jax.vjp(head, feature_map)
    (g,) = pull_back(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype))
    return g.astype(jnp.float32)


def logits_of(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B"]:
    """Return each image's logit of its label, in float32."""
    return jnp.take_along_axis(head(feature_map), labels[:, None], axis=1)[:, 0].astype(jnp.float32)
