"""Attention times what it weighs (as Kobayashi et al., 2020, measure a transformer's): what the token receives."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.attention_gradient import attentive
from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `|A_i F_i|`: what the last block's token receives from each position, all heads together."""
    attention = subject.attention[-1]  # [B heads h w]
    b, heads, h, w = attention.shape
    values = attentive(subject).attended(dict(subject.scene.features)).astype(jnp.float32)
    squares = (values.reshape(b, h, w, heads, -1) ** 2).sum(-1)  # [B h w heads]
    return jnp.sqrt((jnp.moveaxis(attention, 1, -1) ** 2 * squares).sum(-1))


ATTENTION_VALUE = Method(
    key="attention_value",
    name="Attention x value",
    meaning="The length of what the stream's last block receives from each position, the same for every class.",
    formula="‖A_i F_i‖",
    source="Kobayashi et al., 2020, of CA-Stream's attention",
    needs_stream=True,
    has_classes=False,
    sums=sums,
)
