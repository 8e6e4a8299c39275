"""Splits by name, and parts of them: `validation`, `val[:1000]`, `test[10%:20%]`."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from castream_jax.errors import InputError, unknown

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
"""What folders and files of a split are called."""
KIND = {name: kind for kind, names in WORDS.items() for name in names}
ALL = "all"
"""The only split of a dataset that has none."""

PART = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<start>\d+%?)?:(?P<stop>\d+%?)?\])?", re.ASCII)


@dataclass(frozen=True)
class Part:
    """A split, or the pictures of it from one place to another."""

    name: str
    start: str = ""
    stop: str = ""
    """Places, or percentages of the pictures; empty: the ends."""

    def __str__(self) -> str:
        return f"{self.name}[{self.start}:{self.stop}]" if self.start or self.stop else self.name

    def places(self, count: int) -> range:
        """Return the places that are meant of a split of `count` pictures; `InputError` if that is none."""
        start, stop = _place(self.start, count, 0), min(_place(self.stop, count, count), count)
        if start >= stop:
            raise InputError(f"split {str(self)!r} has no pictures: {self.name!r} has {count:,}.")
        return range(start, stop)


@dataclass(frozen=True)
class PartOfRecords:
    """Some records of a split, in the order of their places in it."""

    records: Any
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        return self.records[self.places[int(index)]]

    def locate(self, index: int) -> str:
        """Return where a record lies, for messages."""
        return self.records.locate(self.places[index])


def parse_split(text: str) -> Part:
    """Return what a split's name asks for.

    Raises:
      InputError: it is neither a name nor one with `[start:stop]`, places or percentages.
    """
    if not (match := PART.fullmatch(text)):
        raise InputError(f"split {text!r}: expected a name, or a part of one, as in val[:1000] or test[10%:20%].")
    part = Part(match["name"], match["start"] or "", match["stop"] or "")
    for place in (part.start, part.stop):
        if place.endswith("%") and int(place[:-1]) > 100:
            raise InputError(f"split {text!r}: {place} is no percentage, 0% to 100%.")
    return part


def take_part(records: Any, part: Part) -> Any:
    """Return the records of a part of a split; `InputError` if it has none."""
    return PartOfRecords(records, part.places(len(records))) if part.start or part.stop else records


def match_split(name: str, splits: Collection[str]) -> str | None:
    """Return the split that a name means: the one of that name, or the only one of its kind, as `val` is `validation`.

    None if there is none, or several.
    """
    if name in splits:
        return name
    kind = KIND.get(name.lower())
    same = [split for split in splits if kind and KIND.get(split.lower()) == kind]
    return same[0] if len(same) == 1 else None


def find_split(name: str, splits: Collection[str], where: str) -> str:
    """Return the split that a name means, as `match_split`.

    Args:
      name: of a split.
      splits: those that there are.
      where: what has them, for messages.

    Raises:
      InputError: there is none, or there are several of that kind.
    """
    if found := match_split(name, splits):
        return found
    if tuple(splits) == (ALL,):
        raise InputError(
            f"{where} has no split {name!r}: nothing tells its pictures apart, so they are one split, {ALL!r}. Name "
            f"it, --config.evaluation.split={ALL}, and to train parts of it, --config.data.train_split='{ALL}[:90%]' "
            f"--config.data.validation_split='{ALL}[90%:]'."
        )
    raise InputError(unknown(f"split of {where}", name, sorted(splits) or ["there are none"]))


def _place(text: str, count: int, default: int) -> int:
    if not text:
        return default
    return round(int(text[:-1]) * count / 100) if text.endswith("%") else int(text)
