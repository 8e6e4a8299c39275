"""Opens a dataset by name: random access to encoded records, without TensorFlow."""

import functools
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import numpy as np
from jaxtyping import Integer, UInt8

from castream_jax.config import DataConfig
from castream_jax.data.boxes import BoxedRecords, add_boxes
from castream_jax.data.classes.class_names import check_label, name_labels, read_class_list
from castream_jax.data.classes.imagenet_names import put_in_words
from castream_jax.data.classes.label_sets import LABELS, UNSURE_LABELS, encode_labels
from castream_jax.data.objects.object_masks import choose_truth, knows_truth
from castream_jax.data.pictures.decoding import AS_SEEN, Decoding
from castream_jax.data.sources import find_kind
from castream_jax.data.sources.kind import Wanted
from castream_jax.data.sources.splits import PartOfRecords, parse_split, take_part
from castream_jax.errors import InputError

SAMPLED = 64
"""Records whose content tells one dataset from another with files of the same names and sizes."""


@dataclass(frozen=True)
class Source:
    """One split of a dataset: records by index, `image` still encoded."""

    name: str
    split: str
    records: Any
    class_names: tuple[str, ...]
    """By label; ImageNet's in words."""
    decoding: Decoding = AS_SEEN
    """How its pictures are to be decoded."""
    kind: str = ""
    """What stands for its name wherever it lies, where that is a path; empty: its name."""
    class_ids: tuple[str, ...] = ()
    """The classes as the dataset names them; empty: as `class_names`."""
    has_several_labels: bool = False
    """Records hold `labels`, perhaps none or all (`label_sets`), in place of `label`."""
    truth: str = "dataset"
    """Where objects are, as `data.truth` says."""

    @property
    def names_on_disk(self) -> tuple[str, ...]:
        """The classes as the dataset names them, by which runs know them again."""
        return self.class_ids or self.class_names

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self.records[index]
        (encode_labels if self.has_several_labels else check_label)(record, self.num_classes)
        return choose_truth(record, self.truth)

    def locate(self, index: int) -> str:
        """Return where a record lies, for messages: its file, and if that holds many its place in it."""
        if hasattr(self.records, "locate"):
            return self.records.locate(index)
        return f"record {index} of {self.name}, split {self.split}"

    def digest(self) -> str:
        """Return the sha256 of what is read: classes, names and sizes of all files, content of some of the records and
        of all files of boxes.

        It is the same wherever the dataset lies.
        """
        whole, explained = self.records, ""
        if hasattr(whole, "digest"):  # of each class of a picture
            whole, explained = whole.records, whole.digest()
        whole = whole.records if isinstance(whole, PartOfRecords) else whole
        boxes = whole.digest_boxes() if isinstance(whole, BoxedRecords) else ""
        whole = whole.records if isinstance(whole, BoxedRecords) else whole
        files = whole.list_files() if hasattr(whole, "list_files") else []
        said = [self.kind or self.name, self.split, len(self), self.names_on_disk, files, boxes]
        said += [whole.digest_listing()] if getattr(whole, "is_listed", False) else []
        said += [explained, self.truth] if explained or self.truth != "dataset" else []
        return self.digest_sample(json.dumps(said))

    def known_labels(self) -> Integer[np.ndarray, "N"] | UInt8[np.ndarray, "N K"] | None:
        """Return the labels of all records, of several their rows (`label_sets`); None where it takes reading them."""
        known, places = self.records, range(len(self))
        if isinstance(known, PartOfRecords):
            known, places = known.records, known.places
        labels = getattr(known, "labels", None)
        return None if labels is None else labels[list(places)]

    @functools.cached_property
    def content(self) -> str:
        """The sha256 of the content and labels of some of the records, read once."""
        return self.digest_sample()

    def digest_sample(self, said: str = "") -> str:
        """Return the sha256 of a text, and of the content and labels of some of the records; wherever they lie."""
        found = hashlib.sha256(said.encode())
        for index in range(0, len(self), max(len(self) // SAMPLED, 1)):
            try:
                record = self.records[index]
                labels = [record.get(name) for name in (LABELS, UNSURE_LABELS)] if self.has_several_labels else ""
                found.update(record["image"] + str(record.get("label")).encode() + str(labels).encode())
            except Exception as error:  # storage raises whatever it stumbles on; reading is another's concern
                found.update(type(error).__name__.encode())
        return found.hexdigest()


def open_source(
    name: str,
    split: str,
    directory: str = "",
    boxes: str = "",
    boxes_of: Literal["class", "all"] = "class",
    classes: str = "",
    decoding: Decoding = AS_SEEN,
) -> Source:
    """Open a split of a dataset; our own demo is made first if it is not there yet.

    Args:
      name: a dataset that lies in `directory` as TFDS lays it out, as `imagenette/320px-v2`; the path of one of the
        other kinds (`sources.KINDS`); or `image_folder`.
      split: one of its splits, or a part of it (`splits.parse_split`).
      directory: the folder of `image_folder`; else where datasets are kept, empty for TFDS's default
        (`TFDS_DATA_DIR`, or the home directory).
      boxes: a folder of PASCAL VOC files, from which records get their `bbox`; empty: none.
      boxes_of: whose boxes count: of objects of the picture's class, or of all.
      classes: a file that lists the classes, one in each line, by label. Folders and listings get their labels from it;
        to another dataset's it only gives names. "imagenet": its 1,000. Empty: the dataset's own.
      decoding: how its pictures are to be decoded.

    Raises:
      InputError: an unknown dataset or split, a dataset that is not prepared or has no labels, no boxes where said, a
        list of classes that does not fit.
    """
    return _open(Wanted(name, directory, classes), split, boxes, boxes_of, decoding)


def open_split(data: DataConfig, split: str, with_boxes: bool = False) -> Source:
    """Open a split of an experiment's dataset; `InputError` as `open_source` raises it."""
    wanted = replace(describe(data), reads_truth=with_boxes)
    source = _open(wanted, split, data.boxes if with_boxes else "", data.boxes_of, Decoding.of(data))
    if not with_boxes or data.truth == "dataset":
        return source
    source = replace(source, truth=data.truth)
    if not knows_truth(source):
        raise InputError(
            f"data.truth is {data.truth!r}: no record of {data.name}, split {split}, has any. Expected 'dataset', or "
            "what it has."
        )
    return source


def describe(data: DataConfig) -> Wanted:
    """Return which dataset an experiment is about."""
    return Wanted(data.name, data.directory, data.classes, data.columns)


def find_class_names(data: DataConfig, split: str) -> tuple[str, ...]:
    """Return the names of a dataset's classes by label, in words; it need not be on the disk if that is possible.

    Raises:
      InputError: no such dataset, or one without classes.
    """
    wanted = describe(data)
    kind = find_kind(wanted)
    if kind.read_class_names is None:
        return open_split(data, split).class_names
    return put_in_words(_name(kind.read_class_names(wanted, split), wanted.classes))


def _open(wanted: Wanted, text: str, boxes: str, boxes_of: str, decoding: Decoding) -> Source:
    kind, part = find_kind(wanted), parse_split(text)
    opened = kind.open(wanted, part.name)
    part = replace(part, name=opened.split)
    records, own = opened.records, opened.class_names
    named = _name(own, wanted.classes)
    class_names = put_in_words(named)
    if boxes and opened.has_several_labels:
        raise InputError(
            f"data.boxes is {boxes!r}: pictures of {wanted.name} show several classes each, and files of boxes beside "
            "a dataset are for one. Leave data.boxes out: the dataset's own boxes and masks are of each class."
        )
    if boxes:
        names = [tuple(dict.fromkeys(each)) for each in zip(own, named, class_names, strict=True)]
        records = add_boxes(records, Path(os.path.expanduser(boxes)), opened.split, names, boxes_of == "all")
    several = opened.has_several_labels
    return Source(wanted.name, str(part), take_part(records, part), class_names, decoding, kind.name, named, several)


def _name(own: tuple[str, ...], classes: str) -> tuple[str, ...]:
    return name_labels(own, read_class_list(classes), classes) if classes else own
