"""Raw attention: the stream's last block as a class-agnostic saliency map."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.masking import min_max


def attention_map(attention: Float[Array, "B heads h w"]) -> Float[Array, "B h w"]:
    """Return softmax attention, averaged over heads and min-max scaled to [0, 1]. Source: METHOD 2."""
    return min_max(attention.mean(1))


def attention_score_map(attention: Float[Array, "B heads h w"]) -> Float[Array, "B h w"]:
    """Return the same map of the scores before the softmax, as the reference's code does (its paper shows the softmax).

    Scores are logarithms of the attention up to a constant, which min-max scaling removes. Attention below
    float32's smallest normal number counts as that number.
    """
    return min_max(jnp.log(jnp.maximum(attention, jnp.finfo(jnp.float32).tiny)).mean(1))
