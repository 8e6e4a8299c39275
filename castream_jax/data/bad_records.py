"""One record as a picture, decoded as its source says; where it cannot be read, its name, and what is done about it."""

import contextlib
import logging
from typing import Any

import numpy as np
from jaxtyping import Bool

from castream_jax.data.objects.object_masks import first_records, name_truth, object_mask
from castream_jax.data.pictures.decoding import Picture, PictureCounts, decode
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import Source
from castream_jax.errors import InputError

log = logging.getLogger(__name__)

NAMES = ("id", "file_name", "image/filename")
"""What datasets call the name of a picture."""


def read_picture(
    source: Source, index: int, square: Resize | None = None
) -> tuple[Picture, dict[str, Any], Bool[np.ndarray, "S S"] | None]:
    """Return a record's picture, the record, and where its object is in the picture's `square`, if asked for.

    Raises:
      InputError: the record, its picture or its mask cannot be read; names file, index, and id where there is one.
    """
    record: dict[str, Any] = {}
    try:
        record = source[index]
        picture = decode(record["image"], source.decoding)
        turned = source.decoding.orientation == "upright"
        truth = object_mask(record, picture.image.size, square, picture.orientation, turned) if square else None
        return picture, record, truth
    except Exception as error:  # storage and decoders raise whatever they stumble on
        what = error if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        named = f" ({record_id(record, index)})" if record else ""
        raise InputError(
            f"cannot read record {index}{named} of {source.name} ({source.locate(index)}): {what}"
        ) from error


def record_id(record: dict[str, Any], index: int) -> str:
    """Return a record's stable name: its id or file name where the dataset has one, else its index."""
    name = next((record[name] for name in NAMES if name in record), index)
    return name.decode() if isinstance(name, bytes) else str(name)


def sample_pictures(source: Source) -> PictureCounts:
    """Return what the first pictures that can be read are like, which a folder's digests mix and datasets shuffle."""
    counts = PictureCounts()
    for record in first_records(source):
        with contextlib.suppress(InputError):
            counts += decode(record["image"], source.decoding).counts
    return counts


def says_where_objects_are(source: Source) -> bool:
    """Return whether the records of a split say where the object is."""
    return bool(describe_truth(source))


def describe_truth(source: Source) -> str:
    """Return in words what says where the objects of a split are, or nothing: the first record that storage has speaks
    for all.
    """
    return next(map(name_truth, first_records(source)), "")


class BadRecords:
    """What is done about records of a split that cannot be read: stop the run, or count and report each once."""

    def __init__(self, source: Source, policy: str, square: Resize | None = None):
        """Watch over a split; with `square`, over its objects' masks too."""
        self._source, self._policy, self._square = source, policy, square
        self._seen: set[int] = set()

    @property
    def count(self) -> int:
        """How many different records could not be read."""
        return len(self._seen)

    def report(self, index: int) -> None:
        """Say that a record could not be read.

        Raises:
          InputError: the policy is "stop".
        """
        if index in self._seen:
            return
        try:
            read_picture(self._source, index, self._square)
            message = f"record {index} ({self._source.locate(index)}) could not be read at first, but now it can"
        except InputError as error:
            message = str(error)
        if self._policy == "stop":
            raise InputError(f"{message} --config.data.on_bad_record=skip goes on without such records.")
        self._seen.add(index)
        log.warning("skipped (%d so far): %s", self.count, message)
