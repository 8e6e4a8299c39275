"""Raw attention before its softmax, as the reference's code draws it (its paper shows the softmax)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return the scores before the softmax of the last block, averaged over heads, up to a constant (METHOD 2).

    They are logarithms of the attention; attention below float32's smallest normal number counts as that number.
    """
    return jnp.log(jnp.maximum(subject.attention[-1], jnp.finfo(jnp.float32).tiny)).mean(1)


ATTENTION_SCORES = Method(
    key="attention_scores",
    name="Raw attention (scores)",
    meaning="The scores of the stream's last block before their softmax, the same for every class.",
    formula="F q / √d",
    source="CA-Stream's code",
    needs_stream=True,
    has_classes=False,
    is_signed=True,
    sums=sums,
)
