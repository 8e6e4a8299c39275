"""Writes a dataset as ArrayRecord shards, so that an interrupted run goes on with the shard it was at."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from tqdm import tqdm

from castream_jax.errors import InputError
from castream_jax.storage.replacement import sync

FILENAME_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
"""TFDS's own default."""
ORIGIN = "origin.txt"
OVERHEAD = 512
"""Bytes that an ArrayRecord file takes for a record beyond the picture, at most (about 400 seen)."""


@dataclass(frozen=True)
class Shard:
    """One file to write."""

    file_name: str
    length: int
    """Records in it."""
    read: Callable[[], Iterable[bytes]]
    """Returns its records."""


def shard_name(dataset: str, split: str, index: int, count: int) -> str:
    """Return a shard's file name under `FILENAME_TEMPLATE`."""
    return f"{dataset}-{split}.array_record-{index:05d}-of-{count:05d}"


def write_dataset(path: Path, origin: str, shards: Sequence[Shard], describe: Callable[[Path], None]) -> None:
    """Write a dataset that is not there yet.

    All is written into `unfinished(path)`, each shard under a name that says so until it is whole; the last step
    gives the folder its own name. Shards that an interrupted run has left are kept if they are of the same origin.

    Args:
      path: `<directory>/<name>/<version>`.
      origin: what the dataset is made from, kept as `origin.txt`; `Plan.origin` is its first line.
      shards: the files to write.
      describe: writes everything else into the folder that it is given, TFDS's `dataset_info.json` above all.
    """
    folder = unfinished(path)
    mark = folder / ORIGIN
    if not mark.exists() or mark.read_text() != origin:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mark.write_text(origin)
    with tqdm(total=sum(shard.length for shard in shards), unit=" records", smoothing=0) as bar:
        for shard in shards:
            if (folder / shard.file_name).exists():
                bar.update(shard.length)
            else:
                write_shard(folder / shard.file_name, counted(shard.read(), bar))
    describe(folder)
    folder.rename(path)


def unfinished(path: Path) -> Path:
    """Return the folder in which a dataset is made."""
    return path.with_name(f"{path.name}.unfinished")


def bytes_done(path: Path) -> int:
    """Return the bytes of the shards that an interrupted run has left."""
    return sum(file.stat().st_size for file in unfinished(path).glob("*.array_record-*-of-?????"))


def write_shard(file: Path, records: Iterable[bytes]) -> None:
    """Write one ArrayRecord file, which appears under its name when it is whole, or not at all."""
    part = file.with_name(f"{file.name}.part")
    try:
        writer = ArrayRecordWriter(str(part), "group_size:1")  # records one by one: grain reads them at random
        try:
            for record in records:
                writer.write(record)
        finally:
            writer.close()
        sync(part)
        os.replace(part, file)
    except RuntimeError as error:
        raise InputError(f"{file} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def counted(records: Iterable[bytes], bar: tqdm) -> Iterator[bytes]:
    """Yield the records, and move the bar."""
    for record in records:
        yield record
        bar.update()


def write_info(folder: Path, info: dict[str, Any]) -> None:
    """Write TFDS's `dataset_info.json`."""
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2, sort_keys=True))
