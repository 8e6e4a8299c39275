"""What a network answers: its predicted class, and whether its logits have probabilities."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.errors import InputError

NOTHING = -1
"""Stands for the predicted class where logits are not numbers."""


def predict(logits: Float[Array, "B K"]) -> Int[Array, "B"]:
    """Return the class of the largest logit; `NOTHING` where a logit is NaN or the largest is infinite."""
    return jnp.where(jnp.isfinite(logits.max(-1)), logits.argmax(-1), NOTHING)


def check_probabilities(network: str, num_classes: int) -> None:
    """Raise `InputError` for a network of one logit, whose softmax is 1 whatever the image shows."""
    if num_classes < 2:
        raise InputError(
            f"{network} has one class: the softmax of one logit is 1 for every image, and so is every probability. "
            "Expected two classes or more; a sigmoid of the logit z is the softmax of the logits 0 and z."
        )
