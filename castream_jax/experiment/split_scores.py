"""What the poolings of a network say of a split whose pictures show several classes, and how good that is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from castream_jax.data.classes.class_names import word_names
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.experiment.average_precision import find_missing, guess, is_near_guessing, mean_average_precision
from castream_jax.notices import say_once
from castream_jax.wording import name_pooling, order_poolings

log = logging.getLogger(__name__)

WHY = (
    "the network is not trained, or the order of the classes or the preprocessing is not that of its weights. See "
    "data.classes, data.mean, data.std, data.image_size and data.orientation."
)


@dataclass(frozen=True, eq=False)
class Scored:
    """What the poolings of a network say of the classes of some images, for a split with several labels."""

    scores: dict[str, Float[np.ndarray, "n K"]]
    """By pooling, of the images that could be read: logits, or what a score of one's own makes of them. A sigmoid keeps
    their order, and rounds the largest to 1."""
    labels: UInt8[np.ndarray, "n K"]
    """`label_sets`."""
    pictures: PictureCounts

    def mean_average_precision(self) -> dict[str, float]:
        """Return that of each pooling, in 0..1; GAP's is the first."""
        names = order_poolings(list(self.scores))
        return {name: mean_average_precision(self.scores[name], self.labels) for name in names}


def check_shown(labels: UInt8[np.ndarray, "n K"], source: Source) -> None:
    """Say which classes no picture of a split shows; `InputError` if that is all of them."""
    missing = find_missing(labels, source.class_names)
    where = f"{source.name}, split {source.split}"
    if len(missing) == source.num_classes:
        raise InputError(f"no picture of {where}, shows a class: there is no average precision. Name another split.")
    if missing:
        say_once(log, describe_missing(missing, where))


def describe_missing(missing: Sequence[str], where: str) -> str:
    """Say what classes without pictures mean for a mean average precision."""
    classes = "class has" if len(missing) == 1 else "classes have"
    return (
        f"{len(missing)} {classes} no picture in {where}, so no average precision, and the mean leaves them out: "
        f"{word_names(missing)}."
    )


def describe_guessing(scored: Scored, pooling: str) -> str:
    """Return what to say of a mean average precision that is hardly better than guessing; else nothing."""
    found = mean_average_precision(scored.scores[pooling], scored.labels)
    guessing = guess(scored.scores[pooling], scored.labels)
    if not is_near_guessing(found, guessing):
        return ""
    return (
        f"The mean average precision of {name_pooling(pooling)} is {100 * found:.3g} %, and that of guessing is "
        f"{100 * guessing.mean:.3g} %: {WHY}"
    )
