"""How well scores rank the pictures that show a class before those that do not: average precision, and its mean.

The area under the precision-recall curve, all points of it, where precision is interpolated: at each recall the highest
that is reached at that recall or above. So PASCAL VOC measures it since 2010. Pictures of one score stand together: the
curve has a point for each score, and no number depends on the order of pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from castream_jax.data.classes.label_sets import PRESENT, UNSURE

SHUFFLES = 99
"""Of the pictures, to see what guessing reaches: more than all of them is its 1 %."""


def average_precision(scores: Float[np.ndarray, "n"], labels: UInt8[np.ndarray, "n"]) -> float:
    """Return the average precision of a class, in 0..1; NaN if no picture shows it.

    Args:
      scores: of the class, in any unit; a picture whose score is NaN is never found.
      labels: `label_sets`; pictures of which nobody can tell are left out.
    """
    known = labels != UNSURE
    scores, is_there = scores[known].astype(np.float64), labels[known] == PRESENT
    count = int(is_there.sum())
    if not count:
        return float("nan")
    ranked = ~np.isnan(scores)
    scores, is_there = scores[ranked], is_there[ranked]
    order = np.argsort(-scores, kind="stable")
    scores, is_there = scores[order], is_there[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.int64)
    found = np.cumsum(is_there)[last]  # pictures that show it, down to each score
    precision = found / (last + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found / count, prepend=0.0) * highest))


def average_precisions(scores: Float[np.ndarray, "n K"], labels: UInt8[np.ndarray, "n K"]) -> Float[np.ndarray, "K"]:
    """Return the average precision of each class; NaN for one that no picture shows."""
    return np.array([average_precision(scores[:, k], labels[:, k]) for k in range(labels.shape[1])])


def mean_average_precision(scores: Float[np.ndarray, "n K"], labels: UInt8[np.ndarray, "n K"]) -> float:
    """Return the mean over the classes that some picture shows; NaN if none does."""
    found = average_precisions(scores, labels)
    defined = found[~np.isnan(found)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True)
class Guessing:
    """What shuffled pictures reach."""

    mean: float
    highest: float


def guess(scores: Float[np.ndarray, "n K"], labels: UInt8[np.ndarray, "n K"], seed: int = 0) -> Guessing:
    """Return the mean average precision of the same scores where each is another picture's, of `SHUFFLES` orders."""
    rng = np.random.default_rng(seed)
    found = [mean_average_precision(scores[rng.permutation(len(scores))], labels) for _ in range(SHUFFLES)]
    return Guessing(float(np.mean(found)), float(np.max(found)))


def is_near_guessing(found: float, guessing: Guessing) -> bool:
    """Return whether a mean average precision is hardly above that of guessing.

    So it is where one of the shuffles reaches it, or where it is less than twice the mean of these (of frequent
    classes: less than ten points above). And it is not where a shuffle comes halfway from there to 1, as on few
    pictures.
    """
    is_low = not found >= guessing.mean + min(guessing.mean, 0.1)
    is_guessed = not found > guessing.highest
    return (is_low or is_guessed) and guessing.highest < (1 + guessing.mean) / 2


def find_missing(labels: UInt8[np.ndarray, "n K"], class_names: Sequence[str]) -> list[str]:
    """Return the names of the classes that no picture shows, whose average precision is not defined."""
    return [class_names[int(k)] for k in np.flatnonzero(~(labels == PRESENT).any(0))]
