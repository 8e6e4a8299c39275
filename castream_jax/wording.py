"""The words of tables and pictures: poolings, odd maps, answers, and the order of a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from castream_jax.attribution import METHODS
from castream_jax.attribution.null_maps import NULL_MAPS
from castream_jax.poolings import POOLINGS

WHOLE = "network"
"""The pooling of a network of one's own, which is not known to have any."""
FIRST_POOLING = "gap"
"""What the others are compared with, wherever it is there."""

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
    """Return a pooling's name for people, with its options: "CA (taps=stage3+stage4)" of "ca(taps=stage3+stage4)"."""
    key, bracket, options = pooling.partition("(")
    if key == WHOLE:
        return "Network"
    return f"{POOLINGS[key].name} {bracket}{options}".strip() if key in POOLINGS else pooling


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
    """Return poolings in the order of the table: GAP, then as they come; the others are compared with the first."""
    return sorted(poolings, key=lambda pooling: pooling != FIRST_POOLING)


def list_poolings(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the poolings of (attribution, pooling), each once, in the order of the table.

    They come as the attribution with most of them has them: raw attention, which GAP and others lack, may be the first.
    """
    found: dict[str, list[str]] = {}
    for attribution, pooling in pairs:
        found.setdefault(attribution, []).append(pooling)
    fullest = sorted(found.values(), key=len, reverse=True)
    return order_poolings(list(dict.fromkeys(pooling for poolings in fullest for pooling in poolings)))


def order_pairs(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the poolings of each attribution, in the same order (`list_poolings`): attributions as they first appear,
    null maps last.
    """
    poolings, known = list_poolings(pairs), set(pairs)
    return {
        attribution: [pooling for pooling in poolings if (attribution, pooling) in known]
        for attribution in sorted(dict.fromkeys(attribution for attribution, _ in pairs), key=is_null)
    }
