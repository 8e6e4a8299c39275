"""Converts TFRecords that TFDS once wrote to ArrayRecord, without TensorFlow: the records themselves stay as they are.

A TFRecord file is a sequence of records: the length (8 bytes, little-endian), the length's checksum (4 bytes), the
data, the data's checksum (4 bytes). Every checksum is compared.
"""

import functools
import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import tensorflow_datasets as tfds

from castream_jax.data.prepare.crc32c import masked_crc32c
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
from castream_jax.data.sources.prepared import data_directory
from castream_jax.errors import InputError

INFO = "dataset_info.json"


def plan_conversion(name: str, tfrecords: Path, directory: str) -> Plan:
    """Plan to convert a dataset.

    Args:
      name: what the dataset is called; TFDS's variant, if it has one, is added where it is not given.
      tfrecords: the folder with TFDS's `dataset_info.json`, as `<directory>/<name>[/<variant>]/<version>`.
      directory: where datasets are kept.

    Raises:
      InputError: no TFRecords of a TFDS dataset there, or not all of them; another variant than the name says.
    """
    tfrecords = tfrecords.absolute()
    info = read_info(tfrecords)
    base, _, variant = name.partition("/")
    if variant and variant != info.get("configName"):
        raise InputError(f"{tfrecords} holds variant {info.get('configName', 'none')!r}: asked for {name!r}.")
    name = "/".join([base, *([info["configName"]] if "configName" in info else [])])
    path = Path(data_directory(directory)).absolute() / name / info["version"]
    if path == tfrecords:
        raise InputError(f"{path} holds the TFRecords themselves: name another place with --directory=DIR.")
    try:
        splits = tfds.builder_from_directory(tfrecords).info.splits
    except (ValueError, OSError) as error:  # written by a TFDS before 3.2.1, which kept no features.json
        raise InputError(f"{tfrecords} is not described well enough: {error}") from error
    files = {split: [Path(file) for file in splits[split].filepaths] for split in splits}
    if missing := [file for group in files.values() for file in group if not file.exists()]:
        raise InputError(f"{len(missing)} of the files that {tfrecords / INFO} lists are missing, first {missing[0]}.")
    shards = [
        Shard(shard_name(base, split, index, len(group)), length, functools.partial(read_records, file, length))
        for split, group in files.items()
        for index, (file, length) in enumerate(zip(group, splits[split].shard_lengths, strict=True))
    ]
    size = sum(file.stat().st_size for group in files.values() for file in group)
    origin = f"TFRecords in {tfrecords}"
    details = f"{origin}\n{json.dumps(info, sort_keys=True)}\n"

    def describe(folder: Path) -> None:
        for file in [*tfrecords.glob("*.json"), *tfrecords.glob("*.txt")]:  # features.json, the names of classes
            shutil.copyfile(file, folder / file.name)
        write_info(folder, as_array_records(info, base))

    needs = size + OVERHEAD * sum(shard.length for shard in shards) - bytes_done(path)
    return Plan(name, path, origin, max(needs, 0), functools.partial(write_dataset, path, details, shards, describe))


def read_info(directory: Path) -> dict[str, Any]:
    """Return `dataset_info.json` of a folder of TFRecords."""
    if not (directory / INFO).is_file():
        below = sorted(directory.glob(f"*/{INFO}")) + sorted(directory.glob(f"*/*/{INFO}"))
        near = f" Did you mean {below[0].parent}?" if below else ""
        raise InputError(f"{directory} holds no {INFO}: expected the folder of one version of a TFDS dataset.{near}")
    try:
        info = json.loads((directory / INFO).read_text())
    except ValueError as error:
        raise InputError(f"{directory / INFO} is damaged: {error}") from error
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise InputError(f"{directory} holds {info['fileFormat']}, no TFRecords.")
    return info


def as_array_records(info: dict[str, Any], name: str) -> dict[str, Any]:
    """Return `dataset_info.json` for the same records in ArrayRecord files, under a name."""
    splits = [split | {"filepathTemplate": FILENAME_TEMPLATE} for split in info["splits"]]
    kept = {key: value for key, value in info.items() if key != "alternativeFileFormats"}
    return kept | {"name": name, "fileFormat": "array_record", "splits": splits}


def read_records(file: Path, count: int) -> Iterator[bytes]:
    """Yield the records of a TFRecord file.

    Raises:
      InputError: there are not `count` of them, or one is cut short or damaged; names the file and the record.
    """
    with file.open("rb") as stream:
        for index in range(count):
            length = read_checked(stream, 8, file, index)
            yield read_checked(stream, struct.unpack("<Q", length)[0], file, index)
        if stream.read(1):
            raise InputError(f"{file} goes on after record {count - 1}, its last one according to {INFO}.")


def read_checked(stream: BinaryIO, size: int, file: Path, index: int) -> bytes:
    """Return the next `size` bytes of a file, after comparing them with the checksum behind them."""
    data, stored = stream.read(size), stream.read(4)
    if len(data) < size or len(stored) < 4:
        raise InputError(f"{file} ends within record {index}: copy the file again.")
    if masked_crc32c(data) != struct.unpack("<I", stored)[0]:
        raise InputError(f"record {index} of {file} is damaged, its checksum differs: copy the file again.")
    return data
