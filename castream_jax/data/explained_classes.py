"""A split whose pictures show several classes, as one record for each picture and class that it shows.

So maps, metrics and rows are of one class of a picture each, and of where the objects of that class are.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int, UInt8
from tqdm import tqdm

from castream_jax.data.bad_records import BadRecords, record_id
from castream_jax.data.classes.label_sets import LABELS, PRESENT, UNSURE_LABELS, encode_labels
from castream_jax.data.objects.object_masks import readable
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pipeline import MET, Batch, count_pictures
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.notices import say_once

log = logging.getLogger(__name__)

BETWEEN = "#"
"""Stands in a record's id between that of its picture and the name of its class."""


@dataclass(frozen=True)
class ExplainedClasses:
    """The records of a split, one for each picture and class that it shows, picture by picture."""

    records: Any
    """Of the pictures."""
    places: Int[np.ndarray, " P"]
    """Of each one's picture among these, ascending."""
    labels: Int[np.ndarray, " P"]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        place, label = int(self.places[index]), int(self.labels[index])
        return show_class(self.records[place], place, label, self.class_names[label])

    def locate(self, index: int) -> str:
        """Return where a record's picture lies, for messages."""
        if hasattr(self.records, "locate"):
            return str(self.records.locate(int(self.places[index])))
        return f"record {int(self.places[index])}"

    def count_of(self, pictures: int) -> int:
        """Return how many records the first pictures have."""
        return int(np.searchsorted(self.places, pictures))

    def find_first(self, picture: int) -> int | None:
        """Return the place of the first record of a picture by its own place; None if it shows no class."""
        index = self.count_of(picture)
        return index if index < len(self) and self.places[index] == picture else None

    def name_pictures(self, ids: np.ndarray, labels: Int[np.ndarray, "B"]) -> np.ndarray:
        """Return the names of the pictures that records of some ids and labels are of."""
        names = [str(name).removesuffix(BETWEEN + self.class_names[label]) for name, label in zip(ids, labels)]
        return np.array(names)

    def count_pictures(self, batch: Batch) -> PictureCounts:
        """Return what was met in the pictures of a batch of these records, each counted at its first record."""
        indices = batch["indices"]
        is_first = (indices == 0) | (self.places[indices] != self.places[indices - 1])
        return count_pictures(batch | {"valid": batch["valid"] & is_first} | {n: batch[n] & is_first for n in MET})

    def digest(self) -> str:
        """Return the sha256 of which classes of which pictures there are."""
        found = hashlib.sha256(self.places.astype(np.int64).tobytes() + self.labels.astype(np.int64).tobytes())
        return found.hexdigest()


def show_class(record: Mapping[str, Any], place: int, label: int, class_name: str) -> dict[str, Any]:
    """Return the record of one class of a picture: where its objects are, and an id of its own."""
    own = {name: value for name, value in record.items() if name not in (LABELS, UNSURE_LABELS, "objects")}
    picture = record_id(dict(record), place)
    own |= {"label": label, "id": f"{picture}{BETWEEN}{class_name}"}
    if "bbox" in (objects := record.get("objects", {})):
        boxes = np.asarray(objects["bbox"], np.float64).reshape(-1, 4)
        own["bbox"] = boxes[np.asarray(objects["label"]).reshape(-1) == label]
    return own


def explain_each_class(source: Source, on_bad_record: str = "stop") -> Source:
    """Return a split as one record for each picture and class that it shows; one of single labels as it is.

    Pictures without a class have nothing to explain: how many there are is said.

    Args:
      source: the split.
      on_bad_record: as `data.on_bad_record`: a record whose labels cannot be read stops all, or has none.

    Raises:
      InputError: no picture shows any class, or labels cannot be read.
    """
    if not source.has_several_labels:
        return source
    rows = read_rows(source, on_bad_record)
    places, labels = np.nonzero(rows == PRESENT)
    if not len(places):
        raise InputError(f"none of the {len(source):,} pictures of {source.name}, split {source.split}, has a label.")
    if without := len(source) - len(np.unique(places)):
        say_once(
            log,
            f"{without:,} of the {len(source):,} pictures of {source.name}, split {source.split}, show no class, and "
            "have no map: there is nothing to explain.",
        )
    records = ExplainedClasses(source.records, places, labels, source.class_names)
    return replace(source, records=records, has_several_labels=False)


def read_rows(source: Source, on_bad_record: str = "stop") -> UInt8[np.ndarray, "N K"]:
    """Return the labels of each picture of a split (`label_sets.encode_labels`); `InputError` as it says."""
    known = source.known_labels()
    if known is not None:
        return known
    watch, rows = BadRecords(source, on_bad_record), []
    for index in tqdm(range(len(source)), "labels", unit="image", leave=False, delay=2.0):
        try:
            rows.append(encode_labels(source.records[index], source.num_classes))
        except Exception:  # storage raises whatever it stumbles on; said by what reads it again
            watch.report(index)
            rows.append(np.zeros(source.num_classes, np.uint8))
    return np.stack(rows)


def check_labels_there(source: Source) -> None:
    """Raise `InputError` if no picture of a split with several labels shows any class; reads up to the first."""
    if not source.has_several_labels:
        return
    rows = source.known_labels()
    shows = (rows == PRESENT).any(1) if rows is not None else (len(record[LABELS]) for record in readable(source))
    if not any(shows):
        raise InputError(
            f"none of the {len(source):,} pictures of {source.name}, split {source.split}, has a label: there is no "
            "average precision. Name another data.validation_split."
        )
