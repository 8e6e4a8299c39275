"""Boxes that lie beside a dataset, as ImageNet's do: one PASCAL VOC file for each picture, `<picture's name>.xml`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, SupportsIndex
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from castream_jax.data.truth import TRUTH, first_records
from castream_jax.errors import InputError

SUFFIX = ".xml"


@dataclass(frozen=True)
class BoxedRecords:
    """Records with a `bbox` each, which is empty for pictures without a file, in place of what they say themselves."""

    records: Any
    files: Mapping[str, str]
    """The path of each file of boxes by its name without suffix."""

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = {name: value for name, value in self.records[index].items() if name not in TRUTH}
        file = self.files.get(picture_name(record))
        return record | {"bbox": read_boxes(Path(file)) if file else np.zeros((0, 4))}

    def locate(self, index: int) -> str:
        """Return where a record lies, for messages."""
        return self.records.locate(index)

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every file, boxes included."""
        return self.records.list_files() + [(name, os.path.getsize(file)) for name, file in sorted(self.files.items())]


def add_boxes(records: Any, directory: Path) -> BoxedRecords:
    """Return records with the boxes of all files in a folder and its sub-folders.

    Raises:
      InputError: no such folder, no files in it, or none for any of the first pictures.
    """
    if not directory.is_dir():
        raise InputError(f"data.boxes is {str(directory)!r}: there is no such folder.")
    files = {
        name.removesuffix(SUFFIX): os.path.join(parent, name)
        for parent, _, names in os.walk(directory)
        for name in names
        if name.endswith(SUFFIX)
    }
    if not files:
        raise InputError(f"data.boxes is {str(directory)!r}: no {SUFFIX} files are there; expected <picture>{SUFFIX}.")
    first = []
    for record in first_records(records):
        first.append(picture_name(record))
        if first[-1] in files:
            return BoxedRecords(records, files)
    raise InputError(
        f"data.boxes is {str(directory)!r}: of its {len(files):,} {SUFFIX} files none is of one of the first "
        f"{len(first)} pictures, as {''.join(first[:1]) or 'one without a name'}{SUFFIX} would be."
    )


def picture_name(record: Mapping[str, Any]) -> str:
    """Return the name of a record's picture without folders and suffix; empty if the dataset does not tell."""
    name = record.get("file_name", record.get("id", ""))
    return PurePosixPath(name.decode() if isinstance(name, bytes) else str(name)).stem


def read_boxes(file: Path) -> Float[np.ndarray, "n 4"]:
    """Return the boxes of a PASCAL VOC file, (ymin, xmin, ymax, xmax) as shares of its height and width.

    Raises:
      InputError: it cannot be read, or lacks a size or a corner.
    """
    try:
        root = ElementTree.parse(file).getroot()
        width, height = (float(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        boxes = root.iterfind("object/bndbox")
        corners = [[float(box.findtext(name, "")) for name in ("ymin", "xmin", "ymax", "xmax")] for box in boxes]
        if not (width > 0 and height > 0):
            raise ValueError(f"its size is {width:g}x{height:g}")
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise InputError(
            f"cannot read the boxes of {file} ({error}): expected PASCAL VOC's size and object/bndbox."
        ) from error
    return np.array(corners).reshape(-1, 4) / (height, width, height, width)
