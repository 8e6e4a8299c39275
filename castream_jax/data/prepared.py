"""Opens datasets that lie on disk as TFDS lays them out: `<directory>/<name>[/<variant>]/<version>`."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import tensorflow_datasets as tfds

from castream_jax.data.builders.castream_demo import CastreamDemo
from castream_jax.errors import InputError, choose, unknown

OWN_BUILDERS = {"castream_demo": CastreamDemo}
"""Datasets that are made on first use, without a download."""

OWN_ARCHIVES = ("mit67",)
"""Datasets that TFDS does not know and `prepare` makes from a download."""

PREPARE = "castream prepare"

NAME = re.compile(r"(?P<base>[a-z]\w*)(/(?P<variant>[\w+.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
"""A dataset's name, as in imagenet2012, imagenette/320px-v2 or imagenet2012:5.0.0."""


@dataclass(frozen=True)
class ArrayRecords:
    """The records of one split, by index, and the files that hold them."""

    records: Sequence[dict[str, Any]]
    files: tuple[Path, ...]
    lengths: tuple[int, ...]
    """Records in each file."""

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        return self.records[index.__index__()]

    def locate(self, index: int) -> str:
        """Return the file that holds a record and the record's place in it, for messages."""
        place = index
        for file, length in zip(self.files, self.lengths, strict=True):
            if place < length:
                return f"{file}, position {place}"
            place -= length
        raise IndexError(index)

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every file; -1 for one that is not there."""
        return [(file.name, file.stat().st_size if file.exists() else -1) for file in self.files]


def open_records(builder: tfds.core.DatasetBuilder, split: str) -> tuple[ArrayRecords, tuple[str, ...]]:
    """Return the records of a split, `image` still encoded, and the names of the classes.

    Raises:
      InputError: an unknown split, a dataset that is no ArrayRecord or not for classification.
    """
    info = builder.info
    if info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
        raise InputError(
            f"dataset {info.full_name} in {builder.data_path} is stored as {info.file_format.value}, which only "
            f"TensorFlow reads. Convert it once, into another directory: "
            f"{command(info.name, 'DIR', f'--tfrecords={builder.data_path}')}"
        )
    choose(f"split of {info.name}", split, info.splits)
    features = info.features
    if not {"image", "label"} <= set(features) or not isinstance(features["label"], tfds.features.ClassLabel):
        raise InputError(
            f"dataset {info.full_name} has features {', '.join(features)}: expected an image, and a label that is "
            "one class."
        )
    encoded = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    records = builder.as_data_source(split, decoders={key: tfds.decode.SkipDecoding() for key in encoded})
    files = tuple(Path(file) for file in info.splits[split].filepaths)
    return ArrayRecords(records, files, tuple(info.splits[split].shard_lengths)), tuple(features["label"].names)


def find_builder(name: str, directory: str) -> tfds.core.DatasetBuilder:
    """Return the builder of a dataset, which is prepared if its `data_path` exists.

    The version that this TFDS would make is taken if it is there, else the newest one that is.

    Raises:
      InputError: no dataset of this name, neither on disk nor in TFDS; a variant or version that does not exist.
    """
    directory = data_directory(directory)
    if name in OWN_BUILDERS:
        return OWN_BUILDERS[name](data_dir=directory)
    parts = NAME.fullmatch(name)
    if not parts:
        raise InputError(f"dataset {name!r}: expected a name as in cifar10, imagenette/320px-v2 or imagenet2012:5.1.0.")
    try:
        builder = tfds.builder(name, data_dir=directory)
    except tfds.core.registered.DatasetNotFoundError:
        raise InputError(_word_not_found(name, directory)) from None
    except (ValueError, AssertionError) as error:
        raise InputError(_word_not_loaded(parts, error)) from None
    path = Path(builder.data_path)
    versions = list_versions(path.parent)
    if versions and not parts["version"] and not path.exists():
        return tfds.builder_from_directory(path.parent / versions[-1])
    return builder


def data_directory(directory: str) -> str:
    """Return where datasets are kept: `directory`, or if it is empty TFDS's own default."""
    return os.path.expanduser(directory or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def list_versions(directory: Path) -> list[str]:
    """Return the versions of a dataset that are complete, oldest first."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return sorted(filter(tfds.core.Version.is_valid, names), key=tfds.core.Version)


def command(name: str, directory: str, *flags: str) -> str:
    """Return the command that prepares a dataset, for messages."""
    return " ".join([PREPARE, name, *flags, *([f"--directory={directory}"] if directory else [])])


def _word_not_found(name: str, directory: str) -> str:
    if name in OWN_ARCHIVES:
        return (
            f"dataset {name!r} is not prepared in {directory}. Prepare it once: "
            f"{command(name, directory, '--manual=DIR')}"
        )
    known = [*OWN_BUILDERS, *OWN_ARCHIVES, "image_folder", *tfds.list_builders(with_community_datasets=False)]
    return (
        f"{unknown('dataset', name, known).split(' Choose one of')[0]} Any TFDS dataset, castream_demo, mit67, "
        f"image_folder, or what {PREPARE} made in {directory} will do."
    )


def _word_not_loaded(parts: re.Match[str], error: Exception) -> str:
    """Word what TFDS says in many lines: that there is no such variant or version, or that files are damaged."""
    base, variant = parts["base"], parts["variant"]
    if variant and base in tfds.list_builders(with_community_datasets=False):
        variants = tfds.builder_cls(base).builder_configs
        if variant not in variants:
            return unknown(f"variant of {base}", variant, variants or ["none, it has no variants"])
    reason = str(error).splitlines()[0].rpartition('}": ')[2]  # behind the arguments of the call
    return f"dataset {parts[0]!r}: {reason}"
