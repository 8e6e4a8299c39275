"""Pictures that a listing names, with their labels and boxes: `metadata.csv` in a folder, or a file of its own.

A row is a picture: `file_name`, its path beside the listing; `label`; and where there are such columns `boxes` and
`split`. `data.columns` names other columns.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from castream_jax.data.sources.kind import Opened, SourceKind, Wanted, read_columns
from castream_jax.data.sources.picture_files import PATIENCE, Boxes, arrange_files
from castream_jax.data.sources.row_boxes import read_boxes
from castream_jax.data.sources.row_labels import read_labels
from castream_jax.data.sources.row_tables import SUFFIXES, Problems, Table, read_table
from castream_jax.data.sources.splits import ALL, KIND, find_split
from castream_jax.errors import InputError

METADATA = tuple(f"metadata{suffix}" for suffix in (".csv", ".jsonl"))
FILE_NAME, LABEL, BOXES, SPLIT = "file_name", "label", "boxes", "split"
COLUMNS = (FILE_NAME, LABEL, BOXES, SPLIT)
EXPECTED = (
    "Expected in each the path of a picture beside the listing, its label, and boxes as shares of the picture's sides; "
    "correct or remove these rows."
)


@dataclass(frozen=True)
class Listing:
    """A table of pictures, and where its columns are."""

    table: Table
    columns: dict[str, str]
    """The column of each of `COLUMNS` that it has."""
    root: Path
    """What paths are in."""
    split: str = ""
    """Of all its rows; empty: each has its own, or the first folder of its path, or there is none."""

    def names(self) -> list[str]:
        """Return the paths of the pictures."""
        return [str(value or "").strip() for value in self.table.column(self.columns[FILE_NAME], FILE_NAME)]

    def splits(self) -> list[str]:
        """Return the split of each row."""
        if self.split:
            return [self.split] * len(self.table)
        if SPLIT in self.columns:
            return [str(value or "").strip() for value in self.table.column(self.columns[SPLIT], SPLIT)]
        folders = [name.partition("/")[0] for name in self.names()]
        if all(folder.lower() in KIND for folder in set(folders)):
            return folders
        return [name_split(self.root)] * len(folders)


def name_split(root: Path) -> str:
    """Return the only split of a folder: its name if that is a split's, else `all`."""
    name = root.absolute().name
    return name if name.lower() in KIND else ALL


def open_listings(listings: Sequence[Listing], wanted: Wanted, split: str) -> Opened:
    """Return the pictures of a split.

    Args:
      listings: all of the dataset, for its classes are those of all splits.
      wanted: the dataset.
      split: its name.

    Raises:
      InputError: no such split, a column that is not there, rows that cannot be used: names them all.
    """
    splits = [listing.splits() for listing in listings]
    split = find_split(split, sorted({name for each in splits for name in each}), wanted.name)
    problems = [Problems(listing.table.file) for listing in listings]
    tables = [listing.table for listing in listings]
    class_names, labels = read_labels(tables, listings[0].columns[LABEL], wanted.classes, problems)
    holders = [i for i, each in enumerate(splits) if split in each]
    if len(holders) > 1:
        named = ", ".join(str(tables[i].file) for i in holders)
        raise InputError(f"split {split!r} is in several listings, {named}: expected one for each split.")
    (holder,) = holders
    listing, wrong = listings[holder], problems[holder]
    rows = [row for row, name in enumerate(splits[holder]) if name == split]
    names, lines = listing.names(), listing.table.lines
    boxes = None
    if BOXES in listing.columns:
        values = listing.table.column(listing.columns[BOXES], BOXES)
        found = read_boxes([values[row] for row in rows], [lines[row] for row in rows], wrong)
        boxes = Boxes(found) if any(map(len, found)) else None  # a column that is empty says nothing
    _check_files(listing.root, [(names[row], lines[row]) for row in rows], wrong)
    for each in problems:
        each.check(EXPECTED)
    pictures = [(names[row], labels[holder][row]) for row in rows]
    return Opened(arrange_files(listing.root, class_names, pictures, boxes, is_listed=True), class_names, split)


def _check_files(root: Path, rows: list[tuple[str, int]], problems: Problems) -> None:
    """Note pictures that are not there, or that are listed twice."""
    seen: set[str] = set()
    for name, line in tqdm(rows, "files of the listing", unit="file", leave=False, delay=PATIENCE):
        if not name:
            problems.note("rows without a file name", line, name)
        elif name in seen:
            problems.note("pictures that are listed before", line, name)
        elif not os.path.isfile(os.path.join(root, name)):
            problems.note(f"files that are not in {root}", line, name)
        seen.add(name)


def _read_listing(file: Path, root: Path, columns: str, split: str = "") -> Listing:
    table = read_table(file)
    chosen = read_columns(columns, COLUMNS)
    for name, column in chosen.items():
        table.column(column, name)
    found = {name: name for name in COLUMNS if name in table.columns}
    return Listing(table, {FILE_NAME: FILE_NAME, LABEL: LABEL} | found | chosen, root, split)


def find_metadata(folder: Path) -> Path | None:
    """Return the listing in a folder; None if there is none, `InputError` if there are two."""
    found = [folder / name for name in METADATA if os.path.isfile(folder / name)]
    if len(found) > 1:
        raise InputError(f"{folder} has {' and '.join(file.name for file in found)}: expected one of them.")
    return found[0] if found else None


def _find_all(root: Path) -> dict[str, Path]:
    """Return the listings of a folder by split: its own, whose split is empty, or those of its sub-folders."""
    if not root.is_dir():
        return {}
    if own := find_metadata(root):
        return {"": own}
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    return {name: file for name in folders if (file := find_metadata(root / name))}


def _open_folder(wanted: Wanted, split: str) -> Opened:
    found = _find_all(wanted.path)
    listings = [_read_listing(file, file.parent, wanted.columns, name) for name, file in found.items()]
    return open_listings(listings, wanted, split)


def _open_file(wanted: Wanted, split: str) -> Opened:
    root = Path(os.path.expanduser(wanted.directory)) if wanted.directory else wanted.path.parent
    return open_listings([_read_listing(wanted.path, root, wanted.columns)], wanted, split)


METADATA_FOLDER = SourceKind(
    "metadata_folder",
    "a folder of pictures with metadata.csv or metadata.jsonl",
    lambda wanted: bool(_find_all(wanted.path)),
    _open_folder,
    reads_columns=True,
)
LISTING_FILE = SourceKind(
    "listing_file",
    "FILE.csv, a listing of pictures",
    lambda wanted: wanted.name.endswith(SUFFIXES),
    _open_file,
    reads_columns=True,
    takes_directory=True,
)
