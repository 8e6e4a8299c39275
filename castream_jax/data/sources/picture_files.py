"""The pictures of a split that are files of their own, with their labels, and boxes where a listing has them."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int
from PIL import Image
from tqdm import tqdm

from castream_jax.data.objects.voc import OUTSIDE
from castream_jax.data.pictures.decoding import MAX_BYTES, attempt
from castream_jax.data.pictures.picture_formats import readable
from castream_jax.errors import InputError
from castream_jax.storage.regular_files import read_regular

PATIENCE = 2.0
"""Seconds after which a bar shows how far listing is."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of each picture, perhaps none."""

    of_each: Sequence[Float[np.ndarray, "_ 4"]]
    """(ymin, xmin, ymax, xmax)."""
    in_pixels: bool = False
    """Of the stored picture; else shares of its sides."""


@dataclass(frozen=True)
class BoxBlock:
    """The same, as one block of memory."""

    corners: Float[np.ndarray, "n 4"]
    ends: Int[np.ndarray, " N"]
    """Of each picture, where its boxes end and the next one's begin."""
    in_pixels: bool

    def shares(self, index: int, encoded: bytes) -> Float[np.ndarray, "n 4"]:
        """Return the boxes of a picture as shares of the sides of the stored picture."""
        corners = self.corners[self.ends[index - 1] if index else 0 : self.ends[index]]
        if not self.in_pixels:
            return corners
        width, height = read_size(encoded)
        if (corners[:, 2:] > (height + OUTSIDE, width + OUTSIDE)).any():
            raise InputError(f"its boxes, {corners.tolist()}, are outside of it: it has {width}x{height} pixels")
        return np.clip(corners / (height, width, height, width), 0, 1)


@dataclass(frozen=True)
class PictureFiles:
    """The pictures of one split, by index, in an order that mixes the classes and is always the same."""

    directory: Path
    class_names: tuple[str, ...]
    names: np.ndarray
    """The path of every picture in the directory, as fixed-width bytes [N]: one block of memory, cheap to send to
    workers."""
    labels: np.ndarray
    """Int [N]."""
    boxes: BoxBlock | None = None
    is_listed: bool = False
    """Labels come from a listing; else a picture's path says its class."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        name = self.names[index].decode()
        image = read_regular(self.directory / name, MAX_BYTES)
        record = {"image": image, "label": int(self.labels[index]), "id": name}
        return (
            record if self.boxes is None else record | {"bbox": self.boxes.shares(index.__index__() % len(self), image)}
        )

    def locate(self, index: int) -> str:
        """Return a picture's file, for messages."""
        return str(self.directory / self.names[index].decode())

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every picture; -1 for one that is not there."""
        names = tqdm(self.names.tolist(), "sizes of files", unit="file", leave=False, delay=PATIENCE)
        return [(name.decode(), _size(os.path.join(self.directory, name.decode()))) for name in names]

    def digest_listing(self) -> str:
        """Return the sha256 of what a listing says of the pictures, labels and boxes; empty if there is none."""
        if not self.is_listed:
            return ""
        found = hashlib.sha256(self.labels.astype(np.int64).tobytes())
        if self.boxes is not None:
            found.update(self.boxes.corners.tobytes() + self.boxes.ends.astype(np.int64).tobytes())
        return found.hexdigest()


def arrange_files(
    directory: Path,
    class_names: tuple[str, ...],
    pictures: Sequence[tuple[str, int]],
    boxes: Boxes | None = None,
    is_listed: bool = False,
) -> PictureFiles:
    """Return pictures in an order that mixes the classes.

    Args:
      directory: what their paths are in.
      class_names: by label.
      pictures: path and label of each.
      boxes: of each; None where nothing says where objects are.
      is_listed: labels come from a listing.

    Raises:
      InputError: a path that is not valid UTF-8.
    """
    names = [_encode(name, directory) for name, _ in pictures]
    order = mix(names)
    labels = np.array([label for _, label in pictures], np.int64)[order]
    block = None
    if boxes is not None:
        ordered = [boxes.of_each[place] for place in order]
        ends = np.cumsum([len(each) for each in ordered], dtype=np.int64)
        block = BoxBlock(np.concatenate([np.zeros((0, 4)), *ordered]), ends, boxes.in_pixels)
    return PictureFiles(directory, class_names, np.array(names)[order], labels, block, is_listed)


def mix(names: Sequence[bytes]) -> list[int]:
    """Return places in the order of a digest of the names: the first are a fair sample of all, wherever they lie."""
    digests = [hashlib.md5(name, usedforsecurity=False).digest() for name in names]
    return sorted(range(len(names)), key=digests.__getitem__)


def read_size(encoded: bytes) -> tuple[int, int]:
    """Return width and height of an encoded picture as it is stored; `InputError` if it is none."""

    def read() -> tuple[int, int]:
        with Image.open(io.BytesIO(encoded), formats=readable()) as image:
            return image.size

    return attempt(read)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _encode(name: str, directory: Path) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InputError(f"a file's name is not valid UTF-8: {name!r} in {directory}. Rename it.") from None
