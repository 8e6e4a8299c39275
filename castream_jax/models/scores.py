"""How logits become scores in 0..1: the only place that says what a softmax or a sigmoid is for."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from castream_jax.errors import InputError, choose

Score = str | Callable[..., Array]
"""A name in `SCORES`, or a function of logits [B K] that returns as many scores in 0..1."""

SCORES: dict[str, Callable[..., Array]] = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}
"""Softmax: exactly one class is right. Sigmoid: each is right or wrong by itself."""


def check_score(score: Score) -> Score:
    """Return a score as it is, or raise `InputError` if it is neither a known name nor a function."""
    if callable(score):
        return score
    return choose("score", score, SCORES)


def compute_scores(score: Score, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
    """Return each class's score in 0..1.

    Raises:
      InputError: a function of one's own returns another shape.
    """
    if not callable(score):
        return SCORES[score](logits)
    found = score(logits)
    if found.shape != logits.shape:
        raise InputError(
            f"score returns {found.shape} for logits {logits.shape}: expected as many scores, each in 0..1."
        )
    return found


def describe_score(score: Score) -> str:
    """Return what to call a score where it is reported."""
    return f"function {getattr(score, '__qualname__', type(score).__name__)}" if callable(score) else score


def name_score(score: Score) -> str:
    """Return a score's name; `InputError` for a function, which a file cannot hold."""
    if callable(score):
        called = getattr(score, "__qualname__", type(score).__name__)
        raise InputError(
            f"the network's score is a function, {called}: a file can say {' or '.join(SCORES)} only. Save the network "
            "with one of these, and set model.score to the function again after it is loaded."
        )
    return score
