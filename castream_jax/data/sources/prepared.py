"""Opens datasets that lie on disk as TFDS lays them out: `<directory>/<name>[/<variant>]/<version>`."""

import difflib
import logging
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import tensorflow_datasets as tfds

from castream_jax.data.builders.castream_demo import CastreamDemo
from castream_jax.data.classes.label_sets import LABELS, UNSURE_LABELS
from castream_jax.data.sources.kind import Opened, SourceKind, Wanted
from castream_jax.data.sources.splits import find_split
from castream_jax.errors import InputError, unknown
from castream_jax.storage.locking import alone_in

OWN_BUILDERS = {"castream_demo": CastreamDemo}
"""Datasets that are made on first use, without a download."""

OWN_ARCHIVES = ("mit67",)
"""Datasets that TFDS does not know and `prepare` makes from a download."""

OTHER_NAMES = {"imagenet": "imagenet2012"}
"""What people call datasets, and what TFDS does."""

PREPARE = "castream prepare"

NOT_DIFFICULT = "labels_no_difficult"

NAME = re.compile(r"(?P<base>[a-z]\w*)(/(?P<variant>[\w+.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
"""A dataset's name, as in imagenet2012, imagenette/320px-v2 or imagenet2012:5.0.0."""


@dataclass(frozen=True)
class ArrayRecords:
    """The records of one split, by index, and the files that hold them."""

    records: Sequence[dict[str, Any]]
    files: tuple[Path, ...]
    lengths: tuple[int, ...]
    """Records in each file."""
    has_difficult: bool = False
    """`labels` are those of all objects, and `labels_no_difficult` of those that are not difficult, as VOC's."""

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self.records[index.__index__()]
        return leave_out_difficult(record) if self.has_difficult else record

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


def leave_out_difficult(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in whose labels classes of difficult objects alone are neither there nor not."""
    sure = record[NOT_DIFFICULT]
    unsure = [label for label in record[LABELS] if label not in sure]
    return {name: value for name, value in record.items() if name != NOT_DIFFICULT} | {
        LABELS: sure,
        UNSURE_LABELS: unsure,
    }


def find_classes(features: Any) -> tuple[tfds.features.ClassLabel, bool] | None:
    """Return the feature that names the classes, and whether a picture may show several; None: there is none."""
    found = dict(features.items())
    if isinstance(label := found.get("label"), tfds.features.ClassLabel):
        return label, False
    labels = found.get(LABELS)
    if isinstance(labels, tfds.features.Sequence) and isinstance(labels.feature, tfds.features.ClassLabel):
        return labels.feature, True
    return None


def open_records(builder: tfds.core.DatasetBuilder, split: str) -> Opened:
    """Return a split of a dataset.

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
    split = find_split(split, list(info.splits), info.name)
    features = info.features
    classes = find_classes(features)
    if "image" not in features or classes is None:
        raise InputError(
            f"dataset {info.full_name} has features {', '.join(features)}: expected an image, and a label that is "
            "one class, or labels that are several."
        )
    encoded = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    records = builder.as_data_source(split, decoders={key: tfds.decode.SkipDecoding() for key in encoded})
    files = tuple(Path(file) for file in info.splits[split].filepaths)
    lengths = tuple(info.splits[split].shard_lengths)
    label, several = classes
    found = ArrayRecords(records, files, lengths, several and NOT_DIFFICULT in features)
    return Opened(found, tuple(label.names), split, several)


def find_builder(name: str, directory: str) -> tfds.core.DatasetBuilder:
    """Return the builder of a dataset, which is prepared if its `data_path` exists.

    The version that this TFDS would make is taken if it is there, else the newest one that is.

    Raises:
      InputError: no dataset of this name, neither on disk nor in TFDS; a variant or version that does not exist.
    """
    directory, name = data_directory(directory), OTHER_NAMES.get(name, name)
    if name in OWN_BUILDERS:
        return OWN_BUILDERS[name](data_dir=directory)
    parts = NAME.fullmatch(name)
    if not parts:
        raise InputError(
            f"dataset {name!r}: there is no such folder or file; expected one, or a name as in cifar10, "
            "imagenette/320px-v2 or imagenet2012:5.1.0."
        )
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
    return shlex.join([*PREPARE.split(), name, *flags, *([f"--directory={directory}"] if directory else [])])


def word_unprepared(builder: tfds.core.DatasetBuilder, name: str, directory: str) -> str:
    """Word that a dataset is not there yet, with the command that makes it."""
    manual = ["--manual=DIR"] if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else []
    said = f"dataset {name!r} is not prepared in {builder.data_path.parent}. Prepare it once: "
    said += command(name, directory, *manual)
    if manual:
        said += ", where DIR is the folder with what you downloaded yourself"
    if builder.name == "imagenet2012":
        said += (
            ". Or read its pictures as they are: --config.data.directory=ROOT, where ROOT holds train/ and val/, or "
            "what Kaggle's archive makes"
        )
    return f"{said}."


def _word_not_found(name: str, directory: str) -> str:
    if name in OWN_ARCHIVES:
        return (
            f"dataset {name!r} is not prepared in {directory}. Prepare it once: "
            f"{command(name, directory, '--manual=DIR')}, where DIR is the folder with what you downloaded yourself."
        )
    own = [path.name for path in Path(directory).iterdir()] if os.path.isdir(directory) else []
    known = [*OWN_BUILDERS, *OWN_ARCHIVES, *own, "image_folder", *tfds.list_builders(with_community_datasets=False)]
    longer = sorted(each for each in known if len(name) >= 3 and each.startswith(name))[:4]
    near = dict.fromkeys([*difflib.get_close_matches(name, known, n=4, cutoff=0.8), *longer])
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"unknown dataset {name!r}.{hint} Any TFDS dataset, castream_demo, mit67, what {PREPARE} made in {directory}, "
        "image_folder, or the path of a folder of pictures or of a listing will do."
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


def _open(wanted: Wanted, split: str) -> Opened:
    name, directory = wanted.name, wanted.directory
    builder = find_builder(name, directory)
    if not builder.data_path.exists():
        if name not in OWN_BUILDERS:
            raise InputError(word_unprepared(builder, name, directory))
        with alone_in(Path(builder.data_path.parent), "making it", wait=True):
            if not builder.data_path.exists():  # another process may have been first
                print(f"making dataset {name} in {builder.data_path} (once, about half a minute)", flush=True)
                logging.getLogger("absl").setLevel(logging.WARNING)
                builder.download_and_prepare(file_format="array_record")
        builder = find_builder(name, directory)
    return open_records(builder, split)


def _read_class_names(wanted: Wanted, split: str) -> tuple[str, ...]:
    del split  # all have the same
    classes = find_classes(find_builder(wanted.name, wanted.directory).info.features)
    if classes is None:
        raise InputError(f"dataset {wanted.name!r} has no class labels.")
    return tuple(classes[0].names)


def is_known(name: str, directory: str) -> bool:
    """Return whether a dataset of a name is TFDS's, ours or prepared in `directory`, whatever folder is called so."""
    base = name.split("/")[0].split(":")[0]
    if base in (*OWN_BUILDERS, *OWN_ARCHIVES, *OTHER_NAMES) or list_versions(Path(data_directory(directory)) / base):
        return True
    return base in tfds.list_builders(with_community_datasets=False)


PREPARED = SourceKind(
    "",
    "a TFDS dataset, or what `prepare` made",
    lambda wanted: True,
    _open,
    _read_class_names,
    takes_directory=True,
)
