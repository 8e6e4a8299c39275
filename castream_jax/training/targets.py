"""What a batch's labels ask of a network, and how many of its answers are right."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt8

from castream_jax.data.classes.label_sets import PRESENT

Labels = Int[Array, "B"] | UInt8[Array, "B K"]
"""The class of each image, or for several of them its row of `label_sets`."""


def make_targets(labels: Labels, num_classes: int, smoothing: float) -> Float[Array, "B K"]:
    """Return what the scores of each class are to be.

    Of several labels each class is a question of its own, with two answers: smoothed, they are `smoothing / 2` and one
    less that. What nobody can tell (`label_sets.UNSURE`) counts as absent.
    """
    if labels.ndim == 1:
        return optax.smooth_labels(jax.nn.one_hot(labels, num_classes), smoothing)
    return (1 - smoothing) * jnp.where(labels == PRESENT, 1.0, 0.0) + smoothing / 2


def share_right(logits: Float[Array, "B K"], labels: Labels) -> Float[Array, ""]:
    """Return the share of images whose first class is right; of several labels, of images and classes that are told
    right: present by a score above one half, absent else.
    """
    is_right = logits.argmax(-1) == labels if labels.ndim == 1 else (logits > 0) == (labels == PRESENT)
    return jnp.where(is_right, 1.0, 0.0).mean()
