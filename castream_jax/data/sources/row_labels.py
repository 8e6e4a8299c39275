"""Labels as a listing has them: whole numbers from 0, or names of classes."""

import logging
import re
from collections.abc import Sequence
from typing import Any

from castream_jax.data.classes.class_names import find_list, read_class_list, word_names
from castream_jax.data.classes.imagenet_names import imagenet_classes, list_synonyms, put_in_words
from castream_jax.data.sources.row_tables import Problems, Table
from castream_jax.errors import InputError
from castream_jax.notices import say_once

log = logging.getLogger(__name__)

WHOLE = re.compile(r"-?[0-9]{1,9}")
FLOAT = re.compile(r"^(-?[0-9]{1,9})\.0+$")
"""A whole number as tables write it where other rows have none."""


def read_labels(
    tables: Sequence[Table], column: str, classes: str, problems: Sequence[Problems]
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return the names of the classes, and the label of each row of each listing.

    Whole numbers are labels; anything else is the name of a class. The classes are those of the list, else ImageNet's
    where a column of WordNet's identifiers agrees with all labels, else as many as the highest label says, or the
    names in the order of text.

    Args:
      tables: the listings of a dataset.
      column: which one holds labels.
      classes: `data.classes`; empty: `classes.txt` beside the first listing, if it is there.
      problems: of each listing, told of labels that are none.

    Raises:
      InputError: no such column; a list that cannot be read, or whose names are numbers that are not their places.
    """
    values = [[_as_text(value) for value in table.column(column, "label")] for table in tables]
    listed = read_class_list(classes) if classes else find_list(tables[0].file.parent)
    given = {value for each in values for value in each if value}
    numbers = set(filter(WHOLE.fullmatch, given))
    if numbers < given:
        _check_kinds(tables[0], given, numbers, listed)
        names = listed or tuple(sorted(given))
        return names, _look_up(values, tables, name_places(names), problems)
    if moved := [name for place, name in enumerate(listed) if WHOLE.fullmatch(name) and int(name) != place]:
        raise InputError(
            f"{tables[0].file}: its labels are numbers, and so are the names in the list of classes, at other places, "
            f"as {moved[0]!r}: a label may be a place or a name. Give the classes names that are no numbers, or leave "
            "the list out."
        )
    highest = max((int(value) for value in given), default=0)
    if not listed and all(_agrees(table, each) for table, each in zip(tables, values)):
        listed = imagenet_classes()
        say_once(log, f"the labels of {tables[0].file} are those of ImageNet's 1,000 classes, as a column of it says.")
    names = listed or tuple(map(str, range(highest + 1)))
    if not listed and (without := [name for name in names if name not in given]):
        say_once(
            log,
            f"{tables[0].file} has no pictures with {len(without):,} of the labels from 0 to {highest} "
            f"({word_names(without)}): labels are counted from 0, and the highest says how many classes there are, "
            f"{highest + 1}. A list of all classes says otherwise (data.classes).",
        )
    return names, _look_up(values, tables, {str(place): place for place in range(len(names))}, problems)


def name_places(names: Sequence[str]) -> dict[str, int]:
    """Return the label of each name of a class, and of each other one that a single class goes by."""
    places = {name: place for place, name in enumerate(names)}
    words = put_in_words(names)
    others: dict[str, set[int]] = {}
    for place, name in enumerate(words):
        for other in (name, *list_synonyms(name)):
            others.setdefault(other, set()).add(place)
    return {other: min(found) for other, found in others.items() if len(found) == 1} | places


def _look_up(
    values: Sequence[list[str]], tables: Sequence[Table], places: dict[str, int], problems: Sequence[Problems]
) -> list[list[int]]:
    ends = list(places)
    expected = f"{ends[0]} to {ends[-1]}" if ends and ends[-1].isdecimal() else "the names of the classes"
    found = []
    for each, table, wrong in zip(values, tables, problems, strict=True):
        found.append([places.get(value, -1) for value in each])
        for value, label, line in zip(each, found[-1], table.lines, strict=True):
            if label < 0:
                wrong.note(f"labels that are none of {expected}" if value else "rows without a label", line, value)
    return found


def _agrees(table: Table, values: list[str]) -> bool:
    """Return whether a column has the identifiers of ImageNet's classes, all at these labels."""
    known = imagenet_classes()
    for column in table.columns.values():
        if column[0] in known and all(
            WHOLE.fullmatch(value) and 0 <= int(value) < len(known) and known[int(value)] == name
            for value, name in zip(values, column)
        ):
            return True
    return False


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = FLOAT.sub(r"\1", str(value).strip())
    return str(int(text)) if WHOLE.fullmatch(text) else text


def _check_kinds(table: Table, given: set[str], numbers: set[str], listed: Sequence[str]) -> None:
    """Raise `InputError` where some labels are numbers and others names, and no list says that both are names."""
    if numbers and not numbers <= set(listed):
        raise InputError(
            f"{table.file}: some of its labels are whole numbers ({word_names(sorted(numbers), 3)}) and others are not "
            f"({word_names(sorted(given - numbers), 3)}): expected places or names alone. If all are names, list the "
            "classes (data.classes)."
        )
