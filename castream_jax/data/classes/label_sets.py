"""Which classes a picture shows, where it may show several: as its record says it, and as a row of numbers."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from castream_jax.errors import InputError

LABELS, UNSURE_LABELS = "labels", "unsure_labels"
"""What a record calls the classes that its picture shows, and those that nobody can tell (VOC: all its objects of that
class are difficult)."""
ABSENT, PRESENT, UNSURE = 0, 1, 2
"""Of a class in a row of numbers."""


def encode_labels(record: Mapping[str, Any], num_classes: int) -> UInt8[np.ndarray, "K"]:
    """Return a record's labels as a row, `ABSENT`, `PRESENT` or `UNSURE` for each class; they may be none, or all.

    Raises:
      InputError: it has no labels, one that is no class, or one that is there twice.
    """
    if LABELS not in record:
        raise InputError("it has no labels: expected the classes that its picture shows, as numbers.")
    row = np.full(num_classes, ABSENT, np.uint8)
    for name, value in ((LABELS, PRESENT), (UNSURE_LABELS, UNSURE)):
        for label in read_classes(record.get(name, ()), name, num_classes):
            if row[label] != ABSENT:
                raise InputError(f"its {name} hold class {label}, which is there already: expected each class once.")
            row[label] = value
    return row


def read_classes(values: Any, name: str, num_classes: int) -> list[int]:
    """Return the classes that a record names, or raise `InputError` for what is none."""
    try:
        labels = [operator.index(value) for value in values]
    except TypeError:
        labels = [-1]
    if not all(0 <= label < num_classes for label in labels):
        raise InputError(
            f"its {name} are {values!r}: expected whole numbers in 0 to {num_classes - 1}, the places of its dataset's "
            f"{num_classes} classes."
        )
    return labels


def decode_labels(row: UInt8[np.ndarray, "K"]) -> dict[str, Sequence[int]]:
    """Return what a record says of its labels, of a row of `encode_labels`."""
    return {
        LABELS: tuple(np.flatnonzero(row == PRESENT).tolist()),
        UNSURE_LABELS: tuple(np.flatnonzero(row == UNSURE).tolist()),
    }
