"""A dataset that Hugging Face's `datasets` has saved (`save_to_disk`): Arrow files, read without that package.

A folder of a split holds the files, `state.json`, which names them, and `dataset_info.json`, which says what the
columns are; the folder above, if there is one, `dataset_dict.json`, which names the splits.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from castream_jax.data.sources.kind import Opened, SourceKind, Wanted, read_columns
from castream_jax.data.sources.picture_files import mix
from castream_jax.data.sources.row_boxes import read_boxes
from castream_jax.data.sources.row_labels import read_labels
from castream_jax.data.sources.row_tables import Problems, Table
from castream_jax.data.sources.splits import find_split
from castream_jax.errors import InputError, unknown
from castream_jax.storage.regular_files import read_regular

IMAGE, LABEL, BOXES = "image", "label", "boxes"
STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
LARGEST = 100_000_000
"""Bytes of what describes a dataset."""


@dataclass(frozen=True)
class ArrowFiles:
    """The files of a split."""

    paths: tuple[Path, ...]
    times: tuple[int, ...]
    """When each was written, so that one that was written anew is read anew."""


@dataclass(frozen=True)
class ArrowRecords:
    """The rows of a split, by index, in an order that mixes the classes and is always the same."""

    files: ArrowFiles
    image: str
    """The column of the pictures."""
    labels: np.ndarray
    """Int [N], as stored."""
    order: np.ndarray
    """The row at each index."""
    boxes: Any = None
    """Of each row, as stored, (ymin, xmin, ymax, xmax) as shares; None where nothing says where objects are."""

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        row = int(self.order[index])
        batch, place = _find(self.files, row)
        value = batch.column(self.image)[place].as_py()
        path = value.get("path") if isinstance(value, dict) else None
        image = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(image, bytes):
            raise InputError(
                f"row {row} holds no encoded picture, but {type(image).__name__} (of {path}): save it anew."
            )
        record = {"image": image, "label": int(self.labels[row]), "id": path or str(row)}
        return record if self.boxes is None else record | {"bbox": self.boxes[row]}

    def locate(self, index: int) -> str:
        """Return the folder and the row, for messages."""
        return f"{self.files.paths[0].parent}, row {int(self.order[index])}"

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every file; -1 for one that is not there."""
        return [(file.name, file.stat().st_size if file.exists() else -1) for file in self.files.paths]


@functools.lru_cache(maxsize=8)
def read_batches(files: ArrowFiles) -> tuple[tuple[Any, ...], np.ndarray]:
    """Return the batches of files, mapped into memory, and where in all rows each ends; once in each process."""
    batches = [batch for file in files.paths for batch in pa.ipc.open_stream(pa.memory_map(str(file))) if len(batch)]
    return tuple(batches), np.cumsum([len(batch) for batch in batches], dtype=np.int64)


def _find(files: ArrowFiles, row: int) -> tuple[Any, int]:
    batches, ends = read_batches(files)
    number = int(np.searchsorted(ends, row, side="right"))
    return batches[number], row - (int(ends[number - 1]) if number else 0)


def find_splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits that were saved, by name."""
    if (root / SPLITS).is_file():
        names = _read_json(root / SPLITS).get("splits", [])
        return {str(name): root / str(name) for name in names}
    if (root / STATE).is_file():
        return {str(_read_json(root / STATE).get("_split") or "all"): root}
    return {}


def _open(wanted: Wanted, split: str) -> Opened:
    splits = find_splits(wanted.path)
    split = find_split(split, splits, str(wanted.path))
    folder = splits[split]
    files, features = _describe(folder)
    try:
        read_batches(files)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{folder} cannot be read ({error}): expected the Arrow files that its {STATE} names."
        ) from None
    chosen = read_columns(wanted.columns, (IMAGE, LABEL, BOXES))
    image = chosen.get(IMAGE) or _choose(features, IMAGE, lambda kind: kind == "Image", folder)
    label = chosen.get(LABEL) or _choose(features, LABEL, lambda kind: kind == "ClassLabel", folder)
    stored = _read_names(files)
    for column in (image, label, *([chosen[BOXES]] if BOXES in chosen else [])):
        if column not in features or column not in stored:
            raise InputError(f"{folder}: {unknown('column', column, [name for name in features if name in stored])}")
    class_names, labels = _read_labels(folder, files, label, features[label].get("names"), wanted.classes)
    boxes = None
    if (column := chosen.get(BOXES, BOXES)) in stored:
        problems = Problems(folder, unit="row")
        boxes = read_boxes(_read_column(files, column), list(range(len(labels))), problems)
        problems.check("Expected boxes as shares of the picture's sides.")
    order = np.array(mix([str(row).encode() for row in range(len(labels))]))
    return Opened(ArrowRecords(files, image, labels, order, boxes), class_names, split)


def _read_labels(
    folder: Path, files: ArrowFiles, column: str, names: list[str] | None, classes: str
) -> tuple[tuple[str, ...], np.ndarray]:
    values = _read_column(files, column)
    if names is not None:
        return tuple(map(str, names)), np.array([-1 if value is None else value for value in values], np.int64)
    problems = Problems(folder, unit="row")
    table = Table(folder / "rows", {column: values}, list(range(len(values))))
    class_names, (labels,) = read_labels([table], column, classes, [problems])
    problems.check("Expected a label in each row.")
    return class_names, np.array(labels, np.int64)


def _read_column(files: ArrowFiles, name: str) -> list[Any]:
    with _reading(files):
        return [value for batch in read_batches(files)[0] for value in batch.column(name).to_pylist()]


def _read_names(files: ArrowFiles) -> set[str]:
    """Return the names of the columns that all files have."""
    with _reading(files):
        return set.intersection(*(set(batch.schema.names) for batch in read_batches(files)[0]))


@contextlib.contextmanager
def _reading(files: ArrowFiles) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:  # TypeError: no rows at all
        folder = files.paths[0].parent
        raise InputError(f"{folder} cannot be read ({error}): expected the Arrow files that {STATE} names.") from None


def _choose(features: dict[str, Any], name: str, fits: Callable[[str], bool], folder: Path) -> str:
    """Return the column that goes by a name, or the only one of its kind."""
    fitting = [column for column, feature in features.items() if fits(str(feature.get("_type")))]
    if name in features or len(fitting) != 1:
        return name if name in features else _refuse(features, name, folder)
    return fitting[0]


def _refuse(features: dict[str, Any], name: str, folder: Path) -> str:
    raise InputError(
        f"{folder} has columns {', '.join(features)}: which is the {name}? Name it as in "
        f"--config.data.columns='{name}=COLUMN'."
    )


def _describe(folder: Path) -> tuple[ArrowFiles, dict[str, Any]]:
    """Return the files of a split and what is said of its columns."""
    state, features = _read_json(folder / STATE), _read_json(folder / INFO).get("features")
    names = [str(entry.get("filename")) for entry in state.get("_data_files") or () if isinstance(entry, dict)]
    if not names or not isinstance(features, dict) or state.get("_indices_data_files"):
        raise InputError(f"{folder} is no dataset that `save_to_disk` saved, or by an old version: save it anew.")
    if wrong := [name for name in names if os.path.basename(name) != name]:
        raise InputError(f"{folder / STATE} names {wrong[0]!r}: expected a file in this folder.")
    paths = tuple(folder / name for name in names)
    try:
        times = tuple(os.stat(path).st_mtime_ns for path in paths)
        described = {name: feature if isinstance(feature, dict) else {} for name, feature in features.items()}
        return ArrowFiles(paths, times), described  # a list of things is described by a list
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error}): expected the Arrow files that {STATE} names.") from None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_regular(file, LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read ({error}): expected what `save_to_disk` saves.") from None
    if not isinstance(found, dict):
        raise InputError(f"{file} holds no JSON object: expected what `save_to_disk` saves.")
    return found


ARROW_FOLDER = SourceKind(
    "arrow_folder",
    "a folder that Hugging Face's `save_to_disk` made",
    lambda wanted: any((wanted.path / name).is_file() for name in (STATE, SPLITS)),
    _open,
    reads_columns=True,
)
