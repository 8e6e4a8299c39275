"""Reads pictures as they lie in folders: `<root>/<split>/<class>/<picture>`."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from castream_jax.data.class_names import LIST, find_list, order_folders, read_class_list, word_names
from castream_jax.data.listing import PassedOver, find_loops, is_loop, list_pictures
from castream_jax.data.notices import say_once
from castream_jax.data.pictures.decoding import MAX_BYTES
from castream_jax.errors import InputError
from castream_jax.storage.regular_files import read_regular

log = logging.getLogger(__name__)


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
        return {"image": read_regular(self.directory / name, MAX_BYTES), "label": int(self.labels[index]), "id": name}

    def locate(self, index: int) -> str:
        """Return a picture's file, for messages."""
        return str(self.directory / self.names[index].decode())

    def list_files(self) -> list[tuple[str, int]]:
        """Return name and bytes of every picture; -1 for one that is not there."""
        paths = [(name.decode(), self.directory / name.decode()) for name in self.names]
        return [(name, path.stat().st_size if path.exists() else -1) for name, path in paths]


def open_folder(root: Path, split: str, classes: str = "") -> ImageFolder:
    """List the pictures of a split, once.

    Each visible sub-folder of `root` is a split, each visible sub-folder of a split is a class; a class's pictures may
    lie in folders of their own. Files that are no pictures by their suffix are passed over; what may have been meant as
    one, as HEIC, is named in a warning.

    Args:
      root: the folder of the splits.
      split: one of them.
      classes: a file that lists all classes, one in each line, by label; empty: `classes.txt` in `root`, and where that
        is not either, the folders' names in their order (`order_folders`).

    Raises:
      InputError: no such folder or split, a list that cannot be read or lacks a class; without a list, a class without
        pictures, or splits with different classes.
    """
    if not os.path.isdir(root):
        raise InputError(f"image folder {str(root)!r} does not exist: expected {root}/{split}/<class>/<picture>.")
    splits = list_folders(root)
    if split not in splits:
        raise InputError(
            f"image folder {root} has no split {split!r}: its sub-folders are its splits "
            f"({', '.join(splits) or 'there are none'}); expected {root}/{split}/<class>/<picture>."
        )
    folders = list_folders(root / split)
    if not folders:
        raise InputError(f"{root / split} has no classes: expected one sub-folder for each, with its pictures.")
    listed = read_class_list(classes) if classes else find_list(root)
    if listed:
        _check_listed(root / split, folders, listed)
    else:
        for other in splits:
            _check_same_classes(root, split, folders, other)
    class_names = listed or order_folders(folders, root)
    passed_over = PassedOver(loops=find_loops(root / split))
    found = {name: list_pictures(root / split / name, passed_over) for name in folders}
    passed_over.report(str(root / split))
    _check_pictures(root, split, {name: len(found.get(name, ())) for name in class_names}, bool(listed))
    names = [_encode(f"{name}/{picture}", root / split) for name in class_names for picture in found.get(name, ())]
    labels = [label for label, name in enumerate(class_names) for _ in found.get(name, ())]
    # By a digest of the name: the first pictures are a fair sample of all, wherever the folder lies.
    order = sorted(range(len(names)), key=lambda index: hashlib.md5(names[index]).digest())
    return ImageFolder(root / split, class_names, np.array(names)[order], np.array(labels)[order])


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
    wrong = [f"{word} {word_names(names)}" for word, names in (("lacks", missing), ("adds", extra)) if names]
    raise InputError(
        f"the splits of image folder {root} have different classes: compared with {split!r}, {other!r} "
        f"{' and '.join(wrong)}. Labels are places in the sorted list of classes, so all splits need the same ones: "
        f"move folders that are no splits elsewhere, or list all classes by label, one in each line, in {root / LIST} "
        "or a file that data.classes names."
    )


def _check_listed(split: Path, folders: list[str], listed: tuple[str, ...]) -> None:
    """Raise `InputError` if a split has classes that the list lacks."""
    known = set(listed)
    if extra := [name for name in folders if name not in known]:
        raise InputError(
            f"{split} has {len(extra)} folders that the list of classes lacks: {word_names(extra)}. The list has "
            f"{len(listed)} classes, {word_names(listed)}: expected the name of every class's folder, one in each line."
        )


def _check_pictures(root: Path, split: str, counts: dict[str, int], is_listed: bool) -> None:
    """Raise `InputError` for a class without pictures; where a list says that the class is there, only say so."""
    without = [name for name, count in counts.items() if not count]
    if without and not is_listed:
        raise InputError(
            f"{root / split / without[0]} has no pictures: add some, or remove the class everywhere, or list all "
            f"classes by label, one in each line, in {root / LIST} or a file that data.classes names."
        )
    if len(without) == len(counts):
        raise InputError(f"{root / split} has no pictures of any of its {len(counts)} classes.")
    if without:
        say_once(
            log,
            f"{root / split} has no pictures of {len(without)} of the {len(counts)} classes of the list: "
            f"{word_names(without)}.",
        )


def _encode(name: str, directory: Path) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InputError(f"a file's name is not valid UTF-8: {name!r} in {directory}. Rename it.") from None
