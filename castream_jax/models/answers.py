"""What a network answers: its predicted class, and whether its logits have probabilities."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.errors import InputError
from castream_jax.models.scores import Score

NOTHING = -1
"""Stands for the predicted class where logits are not numbers."""


def predict(logits: Float[Array, "B K"]) -> Int[Array, "B"]:
    """Return the class of the largest logit; `NOTHING` where a logit is NaN or the largest is infinite."""
    return jnp.where(jnp.isfinite(logits.max(-1)), logits.argmax(-1), NOTHING)


def check_probabilities(network: str, num_classes: int, score: Score = "softmax") -> None:
    """Raise `InputError` for a softmax of one logit, which is 1 whatever the image shows.

    Args:
      network: what the message calls it.
      num_classes, score: the network's.
    """
    if num_classes < 2 and score == "softmax":
        raise InputError(
            f"{network} has one class: the softmax of one logit is 1 for every image, and so is every probability. "
            "Expected two classes or more, or score='sigmoid'; a sigmoid of the logit z is the softmax of the logits "
            "0 and z."
        )
