"""Tars of samples, as WebDataset has them: `key.jpg` beside `key.cls`; pictures are read from where they lie."""

import json
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, SupportsIndex

import numpy as np
from tqdm import tqdm

from castream_jax.data.pictures.decoding import MAX_BYTES
from castream_jax.data.pictures.picture_formats import picture_suffixes
from castream_jax.data.sources.kind import Opened, SourceKind, Wanted, read_columns
from castream_jax.data.sources.listings import name_split
from castream_jax.data.sources.picture_files import PATIENCE, mix
from castream_jax.data.sources.row_labels import read_labels
from castream_jax.data.sources.row_tables import Problems, Table
from castream_jax.data.sources.splits import KIND, find_split
from castream_jax.errors import InputError
from castream_jax.storage.kept_listings import keep_listing, recall_listing

IMAGE, LABEL = "image", "label"
LABELS = ("cls", "json")
"""What ends the name of a label: its text, or an object with `label`."""
LARGEST = 1_000_000
"""Bytes of a label."""


@dataclass(frozen=True)
class TarRecords:
    """The samples of a split, by index, in an order that mixes the classes and is always the same."""

    files: tuple[Path, ...]
    names: np.ndarray
    """The key of each sample, bytes [N]."""
    places: np.ndarray
    """Int [N 3] of each sample: its file, first byte, and bytes."""
    labels: np.ndarray
    """Int [N]."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        file, start, size = map(int, self.places[index])
        if size > MAX_BYTES:
            raise InputError(f"it has {size:,} bytes: at most {MAX_BYTES:,} are read. Make it smaller.")
        with self.files[file].open("rb") as tar:
            tar.seek(start)
            image = tar.read(size)
        return {"image": image, "label": int(self.labels[index]), "id": self.names[index].decode()}

    def locate(self, index: int) -> str:
        """Return the tar and the sample's key, for messages."""
        return f"{self.files[int(self.places[index][0])]}, {self.names[index].decode()}"

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every tar; -1 for one that is not there."""
        return [(file.name, file.stat().st_size if file.exists() else -1) for file in self.files]


@dataclass
class Samples:
    """What the headers of a split's tars say."""

    files: tuple[Path, ...]
    endings: dict[str, str]
    """What follows the keys of pictures and labels, where it is said."""
    problems: Problems
    names: list[str] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)

    def add(self, number: int, tar: BinaryIO, key: str, members: dict[str, tuple[int, int]]) -> None:
        """Add a sample of file `number`, which is open, or note what is wrong with it."""
        place, where = len(self.names), f"{self.files[number].name}: {key}"
        pictures = [ending for ending in members if f".{ending.rpartition('.')[2]}" in picture_suffixes()]
        pictures = [self.endings[IMAGE]] if self.endings.get(IMAGE) in members else pictures
        endings = [self.endings[LABEL]] if LABEL in self.endings else list(LABELS)
        ending = next((ending for ending in endings if ending in members), None)
        if len(pictures) != 1:
            self.problems.note("without a picture, or with several (data.columns='image=ENDING')", place, where)
        elif ending is None:
            self.problems.note("without a label (data.columns='label=ENDING')", place, where)
        else:
            self.names.append(key)
            self.places.append((number, *members[pictures[0]]))
            self.labels.append(_read_label(tar, *members[ending], ending))

    def since(self, first: int) -> list[Any]:
        """Return the samples from a place on, ready for JSON, without the number of their file."""
        return [
            [*each]
            for each in zip(self.names[first:], (place[1:] for place in self.places[first:]), self.labels[first:])
        ]

    def recall(self, number: int, kept: Any) -> bool:
        """Add what `since` said of file `number`; return whether it could be used."""
        try:
            found = [(str(name), (number, int(start), int(size)), label) for name, (start, size), label in kept]
        except (TypeError, ValueError):
            return False
        for name, place, label in found:
            self.names.append(name)
            self.places.append(place)
            self.labels.append(label)
        return True


def find_splits(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the tars of each split: by folder, else by a word in all their names, else all are one."""
    if root.is_file():
        return {name_split(root.parent): (root,)} if root.suffix == ".tar" else {}
    files = sorted(root.glob("*.tar")) if root.is_dir() else []
    if not files:
        folders = {path.parent.name: path.parent for path in sorted(root.glob("*/*.tar"))} if root.is_dir() else {}
        return {name: tuple(sorted(folder.glob("*.tar"))) for name, folder in folders.items()}
    words = [next((word for word in re.split(r"[-_.]", file.stem) if word.lower() in KIND), "") for file in files]
    if not all(words):
        return {name_split(root): tuple(files)}
    return {name: tuple(file for file, word in zip(files, words) if word == name) for name in sorted(set(words))}


def read_samples(files: tuple[Path, ...], columns: dict[str, str]) -> Samples:
    """Return the samples of tars, after one pass over their headers, or as they were kept by an earlier one.

    Raises:
      InputError: a file is no plain tar, or a sample has no picture, several, or no label; names all such.
    """
    samples = Samples(files, columns, Problems(files[0].parent, unit="sample"))
    for number, file in enumerate(tqdm(files, "members of tars", unit="tar", leave=False, delay=PATIENCE)):
        choices = [columns, sorted(picture_suffixes())]
        if samples.recall(number, recall_listing(file, choices)):
            continue
        keys, first = _read_keys(file), len(samples.names)
        with file.open("rb") as tar:
            for key, members in keys.items():
                samples.add(number, tar, key, members)
        if len(samples.names) - first == len(keys):  # else there is something to be said of it, every time
            keep_listing(file, choices, samples.since(first))
    samples.problems.check("Expected in each a picture, as KEY.jpg, and its label, KEY.cls or KEY.json with `label`.")
    repeated = len(set(samples.names)) < len(samples.names)
    if repeated:
        stems = [files[file].stem for file, _, _ in samples.places]
        samples.names = [f"{stem}/{name}" for stem, name in zip(stems, samples.names, strict=True)]
    return samples


def _read_keys(file: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Return the members of each key of a tar by what follows the key: first byte and bytes."""
    keys: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.removeprefix("./").rpartition("/")
                stem, dot, ending = name.partition(".")
                if member.isfile() and stem and dot:
                    keys.setdefault(f"{folder}{slash}{stem}", {})[ending.lower()] = (member.offset_data, member.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{file} is no whole tar, or a compressed one ({error}): expected a plain .tar.") from error
    return keys


def _read_label(file: BinaryIO, start: int, size: int, ending: str) -> str | None:
    if size > LARGEST:
        return None
    file.seek(start)
    text = file.read(size).decode(errors="replace").strip()
    if not ending.endswith("json"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return str(found["label"]) if isinstance(found, dict) and isinstance(found.get("label"), (int, str)) else None


def _open(wanted: Wanted, split: str) -> Opened:
    splits = find_splits(wanted.path)
    if not splits:
        raise InputError(f"data.name is {wanted.name!r}: there is no such tar.")
    split = find_split(split, splits, str(wanted.path))
    columns = read_columns(wanted.columns, (IMAGE, LABEL))
    names = [split] if wanted.classes else [split, *(name for name in splits if name != split)]  # classes are of all
    read = [read_samples(splits[name], columns) for name in names]
    problems = [Problems(samples.files[0].parent, unit="sample") for samples in read]
    tables = [Table(wanted.path / "*.tar", {LABEL: each.labels}, list(range(len(each.names)))) for each in read]
    class_names, labels = read_labels(tables, LABEL, wanted.classes, problems)
    for each in problems:
        each.check("Expected a label in each sample.")
    samples, encoded = read[0], [name.encode(errors="surrogateescape") for name in read[0].names]
    if not encoded:
        raise InputError(f"split {split!r} of {wanted.path} has no samples.")
    order = mix(encoded)
    places = np.array(samples.places, np.int64)[order]
    records = TarRecords(samples.files, np.array(encoded)[order], places, np.array(labels[0], np.int64)[order])
    return Opened(records, class_names, split)


TAR_SHARDS = SourceKind(
    "tar_shards",
    "a folder of WebDataset's tars, or one tar",
    lambda wanted: wanted.name.endswith(".tar") or bool(find_splits(wanted.path)),
    _open,
    reads_columns=True,
)
