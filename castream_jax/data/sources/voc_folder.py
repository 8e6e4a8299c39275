"""PASCAL VOC as it is downloaded: pictures of several classes each, with boxes, and masks of some.

    VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg
                      Annotations/2007_000027.xml
                      ImageSets/Main/{train,val,trainval}.txt, aeroplane_train.txt, …
                      ImageSets/Segmentation/{train,val,trainval}.txt
                      SegmentationClass/2007_000032.png

A split is a list of ImageSets/Main, as `val`, or of ImageSets/Segmentation, as `Segmentation/val`.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import UInt8

from castream_jax.data.classes.class_names import read_class_list, word_names
from castream_jax.data.classes.label_sets import ABSENT, PRESENT, UNSURE, decode_labels
from castream_jax.data.objects.voc import read_annotation
from castream_jax.data.pictures.decoding import MAX_BYTES
from castream_jax.data.sources.kind import Opened, SourceKind, Wanted
from castream_jax.data.sources.picture_files import mix
from castream_jax.data.sources.splits import find_split
from castream_jax.errors import InputError
from castream_jax.notices import say_once
from castream_jax.storage.regular_files import read_regular

log = logging.getLogger(__name__)

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of the alphabet, by label; the value of each in a mask is its place here, from 1."""
PICTURES, BOXES, MASKS, LISTS = "JPEGImages", "Annotations", "SegmentationClass", "ImageSets"
MAIN, SEGMENTATION = "Main", "Segmentation"
LARGEST_LIST = 100_000_000
"""Bytes."""
SAID = {"1": PRESENT, "-1": ABSENT, "0": UNSURE}
"""By what the list of a class says of a picture; 0: all its objects of the class are difficult."""


@dataclass(frozen=True)
class VocPictures:
    """The pictures of one split, by index, in an order that does not depend on their list."""

    root: Path
    class_names: tuple[str, ...]
    names: np.ndarray
    """Of the pictures, without a suffix, as fixed-width bytes [N]."""
    labels: UInt8[np.ndarray, "N K"]
    """As `label_sets.encode_labels` has them."""
    mask_values: tuple[int, ...]
    """Of each class by label, in masks; empty where they are not known, and no mask counts."""
    reads_truth: bool = True
    """Records say where objects are: boxes and masks lie in files of their own."""
    is_listed = True
    """Labels come from lists."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        name = self.names[index].decode()
        record = {"image": read_regular(self.picture(name), MAX_BYTES), "id": name}
        record |= decode_labels(self.labels[index])
        return record | self.read_boxes(name) | self.read_mask(name) if self.reads_truth else record

    def picture(self, name: str) -> Path:
        """Return the file of a picture."""
        return self.root / PICTURES / f"{name}.jpg"

    def read_boxes(self, name: str) -> dict[str, Any]:
        """Return the boxes of a picture's objects, the difficult ones' too; nothing if no picture has any.

        Objects of other classes than these do not count.
        """
        if not (self.root / BOXES).is_dir():
            return {}
        file = self.root / BOXES / f"{name}.xml"
        if not file.is_file():
            return {"objects": {"bbox": np.zeros((0, 4)), "label": np.zeros(0, np.int64)}}
        said = read_annotation(file)
        labels = [find_class(found, self.class_names) for found in said.names]
        counts = [label is not None for label in labels]
        return {
            "objects": {
                "bbox": said.boxes[counts],
                "label": np.array([label for label in labels if label is not None], np.int64),
            },
            "bbox_size": said.size,
            "bbox_file": str(file),
        }

    def read_mask(self, name: str) -> dict[str, Any]:
        """Return a picture's `class_mask`, None if it is not segmented; nothing where no picture is."""
        if not self.mask_values:
            return {}
        file = self.root / MASKS / f"{name}.png"
        mask = read_regular(file, MAX_BYTES) if file.is_file() else None
        return {"class_mask": mask, "class_values": self.mask_values}

    def locate(self, index: int) -> str:
        """Return a picture's file, for messages."""
        return str(self.picture(self.names[index].decode()))

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every picture."""
        return [(f"{name.decode()}.jpg", self.picture(name.decode()).stat().st_size) for name in self.names]

    def digest_listing(self) -> str:
        """Return the sha256 of what is said of the pictures: labels, and where records say it boxes and masks."""
        found = hashlib.sha256(self.labels.tobytes())
        for name in self.names if self.reads_truth else ():
            for file in (f"{BOXES}/{name.decode()}.xml", f"{MASKS}/{name.decode()}.png"):
                path = self.root / file
                found.update(hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest())
        return found.hexdigest()


def open_voc(root: Path, split: str, class_names: tuple[str, ...] = CLASSES, reads_truth: bool = True) -> VocPictures:
    """List the pictures of a split, once.

    Labels are those of ImageSets' lists of the classes: 1 is there, -1 is not, 0 for a class of which the picture has
    difficult objects alone, which is neither right nor wrong to find. Where there are no such lists, the objects of the
    annotations say the same.

    Args:
      root: the folder that holds ImageSets and JPEGImages.
      split: one of `list_splits`.
      class_names: by label.
      reads_truth: records say where objects are.

    Raises:
      InputError: a list that cannot be read, is empty or lacks a picture, pictures that are not there, no labels.
    """
    file = list_splits(root, class_names)[split]
    names = [line.split()[0] for line in read_lines(file)]
    if not names:
        raise InputError(f"{file} is empty: expected the name of a picture in each line.")
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise InputError(f"{file} names pictures twice: {word_names(twice)}. Expected each once.")
    there = {entry.name for entry in os.scandir(root / PICTURES)}
    if missing := [name for name in names if f"{name}.jpg" not in there]:
        raise InputError(
            f"{len(missing):,} of the {len(names):,} pictures of {file} are not in {root / PICTURES}: "
            f"{word_names(missing)}. Expected <name>.jpg for each."
        )
    encoded = [name.encode() for name in names]
    order = mix(encoded)
    labels = label_by_lists(names, file, class_names)
    if labels is None:
        labels = label_by_objects(names, root, class_names)
    values = find_mask_values(root, class_names) if reads_truth else ()
    return VocPictures(root, class_names, np.array(encoded)[order], labels[order], values, reads_truth)


def list_splits(root: Path, class_names: Sequence[str]) -> dict[str, Path]:
    """Return the lists of pictures by split."""
    found = {}
    for folder, prefix in ((MAIN, ""), (SEGMENTATION, f"{SEGMENTATION}/")):
        for file in sorted((root / LISTS / folder).glob("*.txt")):
            if not any(file.stem.startswith(f"{name}_") for name in class_names):
                found[prefix + file.stem] = file
    return found


def label_by_lists(names: Sequence[str], file: Path, class_names: Sequence[str]) -> UInt8[np.ndarray, "N K"] | None:
    """Return what the lists of the classes beside a split's say of its pictures; None if there are none."""
    lists = [file.with_name(f"{name}_{file.name}") for name in class_names]
    missing = [each.name for each in lists if not each.is_file()]
    if len(missing) == len(lists):
        return None
    if missing:
        raise InputError(f"{file.parent} lacks {word_names(missing)}: expected a list for each class, or for none.")
    return np.stack([read_list(each, names) for each in lists], axis=1)


def read_list(file: Path, names: Sequence[str]) -> UInt8[np.ndarray, "N"]:
    """Return whether each picture shows a class, as the class's list says it."""
    said: dict[str, int] = {}
    for line in read_lines(file):
        name, *rest = line.split()
        if len(rest) != 1 or rest[0] not in SAID or name in said:
            raise InputError(f"{file} has the line {line!r}: expected each picture once, with 1, -1 or 0 behind it.")
        said[name] = SAID[rest[0]]
    if missing := [name for name in names if name not in said]:
        raise InputError(f"{file} lacks {len(missing):,} pictures of the split: {word_names(missing)}.")
    return np.array([said[name] for name in names], np.uint8)


def label_by_objects(names: Sequence[str], root: Path, class_names: Sequence[str]) -> UInt8[np.ndarray, "N K"]:
    """Return whether each picture shows each class, as the objects of its annotation say it."""
    labels = np.full((len(names), len(class_names)), ABSENT, np.uint8)
    for row, name in zip(labels, names, strict=True):
        file = root / BOXES / f"{name}.xml"
        if not file.is_file():
            raise InputError(
                f"nothing says which classes {name} shows: there is neither {file}, nor a list for each class in "
                f"{root / LISTS / MAIN}. Those of VOC's test pictures are not published."
            )
        said = read_annotation(file)
        for found, is_difficult in zip(said.names, said.difficult, strict=True):
            label = find_class(found, class_names)
            if label is None:
                raise InputError(
                    f"{file} names an object {found!r}, which is none of the classes ({word_names(class_names)}), and "
                    f"no lists of the classes beside the split's say which count: list all classes by label, one in "
                    "each line, in a file that data.classes names."
                )
            row[label] = PRESENT if not is_difficult or row[label] == PRESENT else UNSURE
    return labels


def find_class(name: str, class_names: Sequence[str]) -> int | None:
    """Return the label of an object's class; None if it is none of these."""
    return next((class_names.index(spelled) for spelled in (name, name.lower()) if spelled in class_names), None)


def find_mask_values(root: Path, class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the value of each class in the masks of a folder; nothing, and say so, where one is none of VOC's."""
    if not (root / MASKS).is_dir():
        return ()
    if other := [name for name in class_names if name.lower() not in CLASSES]:
        say_once(
            log,
            f"the masks in {root / MASKS} do not count: they hold VOC's own classes by number, and these of "
            f"data.classes are none of them: {word_names(other)}.",
        )
        return ()
    return tuple(1 + CLASSES.index(name.lower()) for name in class_names)


def read_lines(file: Path) -> list[str]:
    """Return the lines of a list that are not empty."""
    try:
        text = read_regular(file, LARGEST_LIST).decode()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file} ({error}): expected the name of a picture in each line.") from error
    return [line for line in text.splitlines() if line.strip()]


def find_roots(place: Path) -> list[Path]:
    """Return the folders in a place that hold a year of VOC: itself, or those of the kit.

    What cannot be looked into, as a disk's lost+found, is none.
    """
    inside = [place / "VOCdevkit", place]
    years = [year for kit in inside if kit.is_dir() for year in sorted(kit.iterdir()) if is_year(year)]
    return [place] if is_year(place) else years


def is_year(folder: Path) -> bool:
    """Return whether a folder holds pictures as VOC's years do."""
    return os.path.isdir(folder / LISTS / MAIN) and os.path.isdir(folder / PICTURES)


def _open(wanted: Wanted, split: str) -> Opened:
    roots = find_roots(wanted.path)
    if len(roots) > 1:
        raise InputError(f"{wanted.path} holds several years: name one of {', '.join(map(str, roots))}.")
    (root,) = roots
    names = read_class_list(wanted.classes) if wanted.classes else CLASSES
    split = find_split(split, list_splits(root, names), str(root))
    return Opened(open_voc(root, split, names, wanted.reads_truth), names, split, has_several_labels=True)


VOC_FOLDER = SourceKind(
    "voc_folder",
    "a folder of PASCAL VOC, with JPEGImages and ImageSets/Main",
    lambda wanted: bool(wanted.path.is_dir() and find_roots(wanted.path)),
    _open,
)
