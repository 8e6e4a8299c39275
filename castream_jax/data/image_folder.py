"""Reads pictures as they lie in folders: `<root>/<split>/<class>/<picture>`."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from castream_jax.data.files import read_file
from castream_jax.data.listing import PassedOver, find_loops, is_loop, list_pictures
from castream_jax.errors import InputError


@dataclass(frozen=True)
class ImageFolder:
    """The pictures of one split, by index, in an order that mixes the classes and is always the same."""

    directory: Path
    class_names: tuple[str, ...]
    names: np.ndarray
    """`class/name` of every picture, as fixed-width bytes [N]: one block of memory, cheap to send to workers."""
    labels: np.ndarray
    """Int [N]."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        name = self.names[index].decode()
        return {"image": read_file(self.directory / name), "label": int(self.labels[index]), "id": name}

    def locate(self, index: int) -> str:
        """Return a picture's file, for messages."""
        return str(self.directory / self.names[index].decode())

    def sizes(self) -> list[int]:
        """Return the bytes of every picture."""
        return [os.path.getsize(self.locate(index)) for index in range(len(self))]

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every picture; -1 for one that is not there."""
        paths = [(name.decode(), self.directory / name.decode()) for name in self.names]
        return [(name, path.stat().st_size if path.exists() else -1) for name, path in paths]


def open_folder(root: Path, split: str) -> ImageFolder:
    """List the pictures of a split, once.

    Each visible sub-folder of `root` is a split, each visible sub-folder of a split is a class; a class's pictures may
    lie in folders of their own. Files that are no pictures by their suffix are passed over; what may have been meant as
    one, as HEIC, is named in a warning.

    Raises:
      InputError: no such folder or split, a class without pictures, splits with different classes.
    """
    if not root.is_dir():
        raise InputError(f"image folder {str(root)!r} does not exist: expected {root}/{split}/<class>/<picture>.")
    splits = list_folders(root)
    if split not in splits:
        raise InputError(
            f"image folder {root} has no split {split!r}: its sub-folders are its splits "
            f"({', '.join(splits) or 'there are none'}); expected {root}/{split}/<class>/<picture>."
        )
    class_names = list_folders(root / split)
    if not class_names:
        raise InputError(f"{root / split} has no classes: expected one sub-folder for each, with its pictures.")
    for other in splits:
        _check_same_classes(root, split, class_names, other)
    passed_over = PassedOver(loops=find_loops(root / split))
    names: list[bytes] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        found = list_pictures(root / split / class_name, passed_over)
        if not found:
            passed_over.report(str(root / split))
            raise InputError(f"{root / split / class_name} has no pictures: add some, or remove the class everywhere.")
        names += [_encode(f"{class_name}/{name}", root / split) for name in found]
        labels += [label] * len(found)
    passed_over.report(str(root / split))
    # By a digest of the name: the first pictures are a fair sample of all, wherever the folder lies.
    order = sorted(range(len(names)), key=lambda index: hashlib.md5(names[index]).digest())
    return ImageFolder(root / split, tuple(class_names), np.array(names)[order], np.array(labels)[order])


def list_folders(directory: Path) -> list[str]:
    """Return the names of a folder's visible sub-folders, sorted."""
    with os.scandir(directory) as entries:
        folders = [entry for entry in entries if not entry.name.startswith(".") and os.path.isdir(entry)]
        return sorted(entry.name for entry in folders if not is_loop(entry))


def _check_same_classes(root: Path, split: str, class_names: list[str], other: str) -> None:
    """Raise `InputError` if another split has other classes; one without any, as of unlabelled pictures, may stay."""
    others = list_folders(root / other)
    if not others or others == class_names:
        return
    missing, extra = sorted(set(class_names) - set(others)), sorted(set(others) - set(class_names))
    wrong = [f"{word} {_shorten(names)}" for word, names in (("lacks", missing), ("adds", extra)) if names]
    raise InputError(
        f"the splits of image folder {root} have different classes: compared with {split!r}, {other!r} "
        f"{' and '.join(wrong)}. Labels are places in the sorted list of classes, so all splits need the same ones; "
        f"move folders that are no splits elsewhere."
    )


def _shorten(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _encode(name: str, directory: Path) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InputError(f"a file's name is not valid UTF-8: {name!r} in {directory}. Rename it.") from None
