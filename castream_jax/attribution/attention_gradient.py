"""Attention times its gradient (as Chefer et al., 2021, weigh a transformer's): raw attention that knows the class."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject
from castream_jax.errors import InputError
from castream_jax.models.network import Attentive


def attentive(subject: Subject) -> Attentive:
    """Return the network as one whose last block can be asked; `InputError` if it cannot."""
    network = subject.whole
    if not isinstance(network, Attentive):
        raise InputError(
            f"{network.name} does not tell what its attention weighs: expected the methods `attended` and `answer_to` "
            "of `models.network.Attentive`. Leave out attention_gradient and attention_value."
        )
    return network


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return the positive part of `A dy/dA`, A being the attention of the last block, averaged over heads.

    The gradient is with respect to the attention itself, behind its softmax: what the answer would gain by more of it.
    """
    network, features = attentive(subject), dict(subject.scene.features)
    attention = subject.attention[-1]
    logits, pull_back = jax.vjp(lambda a: network.answer_to(features, a), attention)
    (g,) = pull_back(jax.nn.one_hot(subject.labels, logits.shape[-1], dtype=logits.dtype))
    return jax.nn.relu(g * attention).mean(1).astype(jnp.float32)


ATTENTION_GRADIENT = Method(
    key="attention_gradient",
    name="Attention x gradient",
    meaning="The attention of the stream's last block, where more of it would raise the class's logit.",
    formula="(A ⊙ ∂y/∂A)₊",
    source="Chefer et al., 2021, of CA-Stream's attention",
    needs_stream=True,
    sums=sums,
)
