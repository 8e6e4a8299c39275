"""The names of classes, in the order of their labels: from a list, or from the names of folders."""

import itertools
import logging
import operator
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from castream_jax.data.classes.imagenet_names import IMAGENET, identify, imagenet_classes
from castream_jax.errors import InputError, escape
from castream_jax.notices import say_once
from castream_jax.storage.regular_files import read_regular

log = logging.getLogger(__name__)

LIST = "classes.txt"
"""The list that may lie at the root of an image folder."""
LARGEST = 10_000_000
"""Bytes of a list: more than a hundred thousand classes."""
NUMBER = re.compile(r"-?[0-9]+")


def read_names(file: Path, setting: str) -> tuple[str, ...]:
    """Return the lines of a text file, without empty ones at its end.

    Args:
      file: in UTF-8.
      setting: what named it, for messages.

    Raises:
      InputError: it cannot be read, is empty, or has an empty line.
    """
    try:
        text = read_regular(file, LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{setting} cannot be read ({error}): expected a text file in UTF-8.") from error
    names = tuple(escape(line.strip()) for line in text.replace("\r\n", "\n").rstrip().split("\n"))
    if not all(names):
        empty = f"line {names.index('') + 1} is empty" if len(names) > 1 else "it is empty"
        raise InputError(f"{setting}: {empty}; expected the name of a class in each line, by label.")
    return names


def read_class_list(classes: str) -> tuple[str, ...]:
    """Return the classes that `data.classes` means, by label: those of a file, or with "imagenet" ImageNet's.

    The file's path may begin with `~`.

    Raises:
      InputError: as for `read_names`, or a name is there twice.
    """
    if classes == IMAGENET:
        return imagenet_classes()
    return check_apart(read_names(Path(os.path.expanduser(classes)), f"data.classes={classes}"), classes)


def find_list(root: Path) -> tuple[str, ...]:
    """Return the classes that the list at the root of an image folder has; empty if there is none.

    Raises:
      InputError: as for `read_class_list`.
    """
    file = root / LIST
    if not os.path.lexists(file) or file.is_dir():
        return ()
    say_once(log, f"the classes of {root} are labelled in the order of {file}.")
    return check_apart(read_names(file, str(file)), str(file))


def check_apart(names: tuple[str, ...], file: str) -> tuple[str, ...]:
    """Return the names of a list, or raise `InputError` if one is there twice."""
    first: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if name in first:
            raise InputError(
                f"{file}: lines {first[name]} and {line} are both {name!r}; expected each class once, by label."
            )
        first[name] = line
    return names


def order_folders(names: Collection[str], place: Path) -> tuple[str, ...]:
    """Return the names of classes' folders in the order of their labels: as numbers if all are whole, else as text.

    Raises:
      InputError: two of the names are the same number.
    """
    as_text = sorted(names)
    if not all(NUMBER.fullmatch(name) for name in names):
        return tuple(as_text)
    ordered = sorted(as_text, key=int)
    for one, other in itertools.pairwise(ordered):
        if int(one) == int(other):
            raise InputError(
                f"classes {one!r} and {other!r} of {place} are the same number: rename one, or list all classes by "
                f"label, one in each line, in {place / LIST} or a file that data.classes names."
            )
    if ordered != as_text:
        say_once(
            log,
            f"the classes of {place} are numbers, and are labelled in the order of numbers: {word_names(ordered)}. "
            f"torchvision's ImageFolder would sort them as text ({word_names(as_text)}): for weights trained so, list "
            f"the classes in that order, one in each line, in {place / LIST} or a file that data.classes names.",
        )
    return tuple(ordered)


def name_labels(own: Sequence[str], listed: Sequence[str], classes: str) -> tuple[str, ...]:
    """Return the names that a list gives to the classes of a dataset whose labels are numbers.

    Args:
      own: the dataset's names, by label.
      listed: the list's.
      classes: the list's file, for messages.

    Raises:
      InputError: they are not as many, or the list has one of the dataset's own names at another label.
    """
    if identify(own) == identify(listed):
        return tuple(listed)
    if len(own) != len(listed):
        raise InputError(
            f"data.classes={classes} lists {len(listed):,} classes: the dataset has {len(own):,}, from {own[0]!r} to "
            f"{own[-1]!r}; expected a name for each, by label."
        )
    if moved := find_moved(own, listed):
        raise InputError(
            f"data.classes={classes} contradicts the dataset, whose labels are numbers that a list only names: "
            f"{word_moved(own, listed, moved, 'in the dataset', 'in the list')}. Leave data.classes out, or give names "
            "in the dataset's order."
        )
    return tuple(listed)


def check_label(record: Mapping[str, Any], num_classes: int) -> int:
    """Return a record's label, or raise `InputError` unless it is a whole number in 0 to `num_classes - 1`."""
    if "label" not in record:
        raise InputError("it has no label: expected the class of its picture, as a number.")
    try:
        label = operator.index(record["label"])
    except TypeError:
        label = -1
    if not 0 <= label < num_classes:
        raise InputError(
            f"its label is {record['label']!r}: expected a whole number in 0 to {num_classes - 1}, the places of its "
            f"dataset's {num_classes} classes."
        )
    return label


def check_class_names(known: Sequence[str], found: Sequence[str], where: str) -> None:
    """Compare the classes that a network knows by name with those of a dataset, label by label.

    Warn if they only go by other names; ImageNet's classes in words and by their identifiers are the same names.

    Args:
      known: the network's names, by label; empty: not known.
      found: the dataset's names, by label.
      where: what the network is, for messages: "the network in runs/demo".

    Raises:
      InputError: they are not as many, or a name stands at another label.
    """
    known, found = identify(known), identify(found)
    if not known or known == found:
        return
    if len(known) != len(found):
        raise InputError(f"{where} knows {len(known):,} classes by name: the dataset has {len(found):,}.")
    if moved := find_moved(known, found):
        raise InputError(
            f"{where} has its classes in another order than the dataset: "
            f"{word_moved(known, found, moved, 'in the network', 'in the dataset')}. Every answer would count for the "
            "wrong class. For pictures in folders, list the network's classes in its order, one in each line, in a "
            "file and name it with --config.data.classes=FILE."
        )
    pairs = [(label, *names) for label, names in enumerate(zip(known, found)) if names[0] != names[1]]
    shown = ", ".join(f"{label} is {one!r} there and {other!r} here" for label, one, other in pairs[:3])
    log.warning(
        "%s has other names for %d of the dataset's %d classes: label %s%s. Labels are taken as they are.",
        where, len(pairs), len(found), shown, ", …" if len(pairs) > 3 else "",
    )  # fmt: skip


def find_moved(one: Sequence[str], other: Sequence[str]) -> list[int]:
    """Return the labels whose name in `one` is another label's in `other`.

    Numbers as names tell only where both have the same ones: 0 to 9 may well be another's 1 to 10.
    """
    names = set(other)
    same = sorted(one) == sorted(other)
    return [
        label
        for label, name in enumerate(one)
        if name != other[label] and name in names and (same or not NUMBER.fullmatch(name))
    ]


def word_moved(one: Sequence[str], other: Sequence[str], moved: Sequence[int], here: str, there: str) -> str:
    """Word where the first three names that moved are."""
    told = [f"{one[label]!r} is {label} {here} and {list(other).index(one[label])} {there}" for label in moved[:3]]
    return ", ".join(told) + (f", and {len(moved) - 3} more" if len(moved) > 3 else "")


def word_names(names: Sequence[str], most: int = 5) -> str:
    """Word a list of names of which only the first are shown."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
