"""What a step makes small: the negative log likelihood of labels, of a teacher's answers, or of both."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from castream_jax.models.scores import Score, compute_scores, name_score


def sigmoid_cross_entropy(logits: Float[Array, "B K"], targets: Float[Array, "B K"]) -> Float[Array, "B"]:
    """Return each image's binary cross entropy, summed over the classes: each is right or wrong by itself."""
    return optax.sigmoid_binary_cross_entropy(logits, targets).sum(-1)


LOSSES = {"softmax": optax.softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy}
"""By score, for each image: the negative log likelihood of the targets."""


def label_loss(logits: Float[Array, "B K"], targets: Float[Array, "B K"], score: Score) -> Float[Array, ""]:
    """Return the mean negative log likelihood of the targets."""
    return LOSSES[name_score(score)](logits, targets).mean()


def distillation_loss(
    logits: Float[Array, "B K"], teacher: Float[Array, "B K"], temperature: float, score: Score
) -> Float[Array, ""]:
    """Return how far a network's answers are from a teacher's, in the units of `label_loss`.

    Args:
      logits: of the network that learns.
      teacher: logits of the one that it learns from; nothing is differentiated through them.
      temperature: what the teacher's logits are divided by: below 1, its answers are more certain.
      score: of both.

    Returns:
      The mean Kullback-Leibler divergence from the teacher's scores to the network's, 0 where they agree.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, with a temperature of the
    teacher's alone, as sharpened pseudo-labels have it (Berthelot et al., "MixMatch", 2019). Not in the paper.
    """
    name = name_score(score)
    taught = jax.lax.stop_gradient(teacher) / temperature
    targets = compute_scores(name, taught)
    return jnp.mean(LOSSES[name](logits, targets) - LOSSES[name](taught, targets))
