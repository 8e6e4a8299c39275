"""Copies pictures into ArrayRecord shards: a few large files, as shared file systems and pods like them."""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, SupportsIndex, runtime_checkable

import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from castream_jax.data.prepare.preparation import Plan
from castream_jax.data.prepare.record_shards import (
    FILENAME_TEMPLATE,
    OVERHEAD,
    Shard,
    bytes_done,
    shard_name,
    write_dataset,
    write_info,
)
from castream_jax.data.sources.image_folder import list_folders, list_splits, open_folder
from castream_jax.data.sources.picture_files import PictureFiles
from castream_jax.data.sources.prepared import data_directory
from castream_jax.errors import InputError

VERSION = "1.0.0"
SHARD_BYTES = 1_000_000_000
"""Pictures in one shard. ImageNet makes 150 shards: a reader may keep all of them open (systems often allow 1,024
files), and what an interruption costs is at most one of them, seconds of work. Random access within a shard is as
quick as within a smaller one."""


@runtime_checkable
class Pictures(Protocol):
    """The pictures of one split, by index, as records `{"image": encoded bytes, "label": int, "id": str}`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, the same in all splits."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: SupportsIndex, /) -> dict[str, Any]: ...

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every picture."""
        ...


def plan_folder_copy(name: str, root: Path, directory: str, classes: str = "") -> Plan:
    """Plan to copy an image folder, each split that has classes, which keep their labels.

    Raises:
      InputError: what `open_folder` says; a name that TFDS does not allow.
    """
    return plan_copy(name, f"image folder {root.absolute()}", lambda: open_folders(root.absolute(), classes), directory)


def open_folders(root: Path, classes: str = "") -> dict[str, PictureFiles]:
    """Return the pictures of every split of an image folder."""
    if not root.is_dir():
        raise InputError(f"--images={root} is no folder: expected one that holds <split>/<class>/<picture>.")
    splits = {
        split: open_folder(root, split, classes) for split, place in list_splits(root).items() if list_folders(place)
    }
    if not splits:
        raise InputError(f"--images={root} has no splits with classes: expected <split>/<class>/<picture>.")
    return splits


def plan_copy(name: str, origin: str, open_splits: Callable[[], Mapping[str, Pictures]], directory: str) -> Plan:
    """Plan to copy pictures into a dataset.

    Args:
      name: what the dataset will be called.
      origin: what the pictures are, in a line for people.
      open_splits: returns the pictures of each split, which stay in their order; not asked if the dataset is there.
      directory: where datasets are kept.

    Raises:
      InputError: a name of a split or class that TFDS does not allow.
    """
    path = Path(data_directory(directory)).absolute() / name / VERSION
    if path.exists():
        return Plan(name, path, origin, 0, lambda: None)
    splits = open_splits()
    class_names = next(iter(splits.values())).class_names
    check_names(splits, class_names)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=list(class_names)),
            "id": tfds.features.Text(),
        }
    )
    sizes = {split: [size for _, size in pictures.list_files()] for split, pictures in splits.items()}
    ranges = {split: cut(sizes[split], SHARD_BYTES) for split in splits}
    shards = [
        Shard(shard_name(name, split, index, len(ranges[split])), len(part), partial(encode, pictures, features, part))
        for split, pictures in splits.items()
        for index, part in enumerate(ranges[split])
    ]
    infos = [split_info(split, ranges[split], sizes[split]) for split in splits]

    def describe(folder: Path) -> None:
        features.save_config(folder)
        write_info(folder, {"name": name, "version": VERSION, "fileFormat": "array_record", "splits": infos})

    details = f"{origin}\n{fingerprint(class_names, sizes)}\n"
    needs = sum(sum(group) + OVERHEAD * len(group) for group in sizes.values()) - bytes_done(path)
    return Plan(name, path, origin, max(needs, 0), partial(write_dataset, path, details, shards, describe))


def check_names(splits: Iterable[str], class_names: Iterable[str]) -> None:
    """Raise `InputError` for names that TFDS would not give back as they are."""
    for split in splits:
        if not re.fullmatch(r"\w+", split) or split == "all":
            raise InputError(f"{split!r} cannot be the name of a split: expected letters, digits and _, and not 'all'.")
    for class_name in class_names:
        if class_name != class_name.strip() or "\n" in class_name:
            raise InputError(f"{class_name!r} cannot be the name of a class: expected one line without spaces around.")


def cut(sizes: Sequence[int], limit: int) -> list[range]:
    """Return ranges of neighbours that are at most `limit` bytes together, or one alone that is larger."""
    starts, total = [0], 0
    for index, size in enumerate(sizes):
        if total and total + size > limit:
            starts.append(index)
            total = 0
        total += size
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def split_info(split: str, parts: Sequence[range], sizes: Sequence[int]) -> dict[str, Any]:
    """Return what TFDS's `dataset_info.json` says of a split."""
    return {
        "name": split,
        "shardLengths": [str(len(part)) for part in parts],
        "numBytes": str(sum(sizes)),
        "filepathTemplate": FILENAME_TEMPLATE,
    }


def encode(pictures: Pictures, features: tfds.features.FeaturesDict, indices: range) -> Iterator[bytes]:
    """Yield records as TFDS stores them, the same bytes every time."""
    for index in indices:
        record = pictures[index]
        # Bytes wrapped as a file are stored as they are; TFDS takes everything else through TensorFlow.
        stored = features.serialize_example(record | {"image": io.BytesIO(record["image"])})
        # TFDS leaves the order of a record's entries to a hash that differs between processes.
        yield tf_example_pb2.Example.FromString(stored).SerializeToString(deterministic=True)


def fingerprint(class_names: Sequence[str], sizes: Mapping[str, Sequence[int]]) -> str:
    """Return a hash that tells a repeated run whether pictures have come, gone or changed since it was interrupted."""
    return hashlib.sha256(repr((class_names, sizes)).encode()).hexdigest()
