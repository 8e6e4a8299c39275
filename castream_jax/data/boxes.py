"""Boxes that lie beside a dataset, as ImageNet's do: one PASCAL VOC file for each picture, `<picture>.xml`."""

import contextlib
import hashlib
import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float

from castream_jax.data.box_files import SUFFIX, BoxFiles, list_box_files, parts_of
from castream_jax.data.classes.class_names import check_label, word_names
from castream_jax.data.objects.object_masks import FIRST, TRUTH, WHOSE, first_records
from castream_jax.data.objects.voc import LARGEST, Annotation, read_annotation
from castream_jax.data.sources.picture_files import PictureFiles
from castream_jax.errors import InputError
from castream_jax.notices import say_once
from castream_jax.storage.regular_files import read_regular

log = logging.getLogger(__name__)

Names = Sequence[tuple[str, ...]]
"""Of each class by label, what it is called; the dataset's own name first."""


@dataclass(frozen=True)
class BoxedRecords:
    """Records with a `bbox` each, which is empty for pictures without a file, in place of what they say themselves.

    `bbox_of` says of which objects. Where there is a file, `bbox_size` is the size of the picture that it says, and
    `bbox_file` its path.
    """

    records: Any
    files: BoxFiles
    matches: Mapping[str, str] | None
    """The file of each picture; None where not all pictures are known, and each is asked for."""
    names: Names
    takes_all: bool
    """All objects count; else those of the picture's class, and those without a name."""

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = {name: value for name, value in self.records[index].items() if name not in TRUTH}
        record[WHOSE] = "all objects" if self.takes_all else "the picture's class"
        file = self.find(record)
        if file is None:
            return record | {"bbox": np.zeros((0, 4))}
        said = read_annotation(file)
        boxes = said.boxes if self.takes_all else choose_boxes(said, self.names[check_label(record, len(self.names))])
        return record | {"bbox": boxes, "bbox_size": said.size, "bbox_file": str(file)}

    def find(self, record: Mapping[str, Any]) -> Path | None:
        """Return the file of a record's picture; None if it has none."""
        picture = picture_name(record)
        if self.matches is not None:
            path = self.matches.get(picture)
        else:
            path = self.files.find_whole(picture, self.names[check_label(record, len(self.names))][0])
        return None if path is None else self.files.file(path)

    def locate(self, index: int) -> str:
        """Return where a record lies, for messages."""
        return self.records.locate(index)

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every file of the dataset itself."""
        return self.records.list_files()

    def digest_boxes(self) -> str:
        """Return the sha256 of which objects count, and of name and content of all files that may be read."""
        found = hashlib.sha256(repr(self.takes_all).encode())
        for path in self.files.paths if self.matches is None else sorted(self.matches.values()):
            try:
                content = read_regular(self.files.file(path), LARGEST)
            except OSError as error:  # reading is another's concern
                content = type(error).__name__.encode()
            found.update(f"\n{path} {hashlib.sha256(content).hexdigest()}".encode(errors="surrogateescape"))
        return found.hexdigest()


def add_boxes(records: Any, directory: Path, split: str, names: Names, takes_all: bool = False) -> BoxedRecords:
    """Return records with the boxes of the files in a folder and its sub-folders.

    Args:
      records: of a split.
      directory: the folder.
      split: the split's name.
      names: of each class by label, what objects of it may be called.
      takes_all: boxes of all objects count; else those of the picture's class, unless the first files name no class of
        the dataset, which is said.

    Raises:
      InputError: no such folder, no files in it, none for any of the first pictures, one that may be of several.
    """
    files = list_box_files(directory, split, frozenset(own for own, *_ in names))
    matches = None
    if isinstance(records, PictureFiles):
        matches = match_all(records, files, names)
    boxed = BoxedRecords(records, files, matches, names, takes_all)
    found = find_first(boxed)
    return boxed if takes_all else replace(boxed, takes_all=not name_classes(found, names, directory))


def match_all(records: PictureFiles, files: BoxFiles, names: Names) -> dict[str, str]:
    """Return the file of each picture of an image folder, and say how many have none."""
    pictures = [name.decode() for name in records.names]
    matches = files.match(zip(pictures, (names[label][0] for label in records.labels), strict=True))
    without = [picture for picture in pictures if picture not in matches]
    if matches and without:
        say_once(
            log,
            f"{len(without):,} of the {len(pictures):,} pictures of {records.directory} have no file of boxes in "
            f"{files.directory}: {word_names(without)}.",
        )
    return {picture: matches[picture] for picture in pictures if picture in matches}


def find_first(boxed: BoxedRecords) -> list[Path]:
    """Return the files of the first pictures, or raise `InputError` if there is none."""
    if boxed.matches:
        return [boxed.files.file(path) for path in itertools.islice(boxed.matches.values(), FIRST)]
    first = list(first_records(boxed.records))
    found = []
    for record in first:
        with contextlib.suppress(InputError):  # raised again where the record is read
            found.append(boxed.find(record))
    if not any(found):
        expected = "/".join(parts_of(picture_name(first[0]))) if first else ""
        raise InputError(
            f"data.boxes is {str(boxed.files.directory)!r}: of its {len(boxed.files.paths):,} {SUFFIX} files none is "
            f"of one of the first {len(first)} pictures, as {expected or 'one without a name'}{SUFFIX} would be."
        )
    return [file for file in found if file is not None]


def name_classes(files: Sequence[Path], names: Names, directory: Path) -> bool:
    """Return whether files name their objects by the dataset's classes; if they name other things alone, say so."""
    known = {as_spoken(name) for each in names for name in each}
    said: dict[str, None] = {}
    for file in files:
        try:
            said |= dict.fromkeys(filter(None, read_annotation(file).names))
        except InputError:  # reported where it is read
            continue
    if not said or known & set(map(as_spoken, said)):
        return True
    say_once(
        log,
        f"the first {len(files)} files of boxes in {directory} name their objects {word_names(list(said))}, which are "
        f"no classes of the dataset ({word_names([own for own, *_ in names])}): the boxes of all objects count "
        "(data.boxes_of).",
    )
    return False


def choose_boxes(said: Annotation, names: Sequence[str]) -> Float[np.ndarray, "n 4"]:
    """Return the boxes of the objects that have one of these names, or none."""
    wanted = {"", *map(as_spoken, names)}
    return said.boxes[[as_spoken(name) in wanted for name in said.names]]


def as_spoken(name: str) -> str:
    """Return a name without what differs in writing only: case, and spaces for `_` and `-`."""
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def picture_name(record: Mapping[str, Any]) -> str:
    """Return the path of a record's picture in its split; empty if the dataset does not tell."""
    name = record.get("file_name", record.get("id", ""))
    return name.decode() if isinstance(name, bytes) else str(name)
