"""The words of tables and pictures: poolings, odd maps, answers, and the order of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from castream_jax.attribution import METHODS
from castream_jax.attribution.null_maps import NULL_MAPS

POOLING_NAMES = {"gap": "GAP", "ca": "CA", "network": "Network"}
"""In the order of the table."""

NOT_A_NUMBER = "not a number"
ODD = {"nan": NOT_A_NUMBER, "all_negative": "nothing positive for this class", "flat": "flat"}
"""What can be wrong with a map: column of the rows, and in words. One that has nothing positive is flat too."""


def name_attribution(attribution: str) -> str:
    """Return an attribution's name for people; what is neither a method nor a null map bears its own."""
    known = METHODS.get(attribution) or NULL_MAPS.get(attribution)
    return known.name if known else attribution


def is_null(attribution: str) -> bool:
    """Return whether a map knows nothing of the network."""
    return attribution in NULL_MAPS


def is_of_class(attribution: str) -> bool:
    """Return whether a map differs from class to class; one that is not known may."""
    return attribution not in METHODS or METHODS[attribution].has_classes


def name_pooling(pooling: str) -> str:
    """Return a pooling's name for people."""
    return POOLING_NAMES.get(pooling, pooling)


def name_class(label: int, class_names: Sequence[str]) -> str:
    """Return a class's name, or that a network's answer is none: -1."""
    return class_names[label] if label >= 0 else NOT_A_NUMBER


def describe_odd(flags: Mapping[str, Any]) -> str:
    """Return what is wrong with a map by its flags, named as in `ODD`, in words; empty where nothing is."""
    return next((words for name, words in ODD.items() if flags.get(name)), "")


def name_answers(label: int, answers: Mapping[str, int], class_names: Sequence[str]) -> str:
    """Return what stands above an image: a class, and the answer of each pooling, as in "fox (GAP: dog, CA: fox)"."""
    said = ", ".join(
        f"{name_pooling(pooling)}: {name_class(answer, class_names)}" for pooling, answer in answers.items()
    )
    return f"{name_class(label, class_names)} ({said})"


def order_poolings(poolings: Sequence[str]) -> list[str]:
    """Return poolings in the order of the table: the first is what the others are compared with."""
    order = list(POOLING_NAMES)
    return sorted(poolings, key=lambda pooling: order.index(pooling) if pooling in order else len(order))


def order_pairs(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the poolings of each attribution: attributions as they first appear, null maps last; GAP before CA."""
    return {
        attribution: order_poolings([pooling for name, pooling in pairs if name == attribution])
        for attribution in sorted(dict.fromkeys(attribution for attribution, _ in pairs), key=is_null)
    }
