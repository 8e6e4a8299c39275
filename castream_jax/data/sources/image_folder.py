"""Reads pictures as they lie in folders: `<root>/<split>/<class>/<picture>`, or `<root>/<class>/<picture>`."""

import logging
import os
from pathlib import Path

from castream_jax.data.classes.class_names import LIST, find_list, order_folders, read_class_list, word_names
from castream_jax.data.pictures.listing import PassedOver, find_loops, is_loop, list_pictures
from castream_jax.data.pictures.picture_formats import picture_suffixes
from castream_jax.data.sources.kind import Opened, SourceKind, Wanted
from castream_jax.data.sources.picture_files import PictureFiles, arrange_files
from castream_jax.data.sources.splits import ALL, KIND, match_split
from castream_jax.errors import InputError
from castream_jax.notices import say_once

log = logging.getLogger(__name__)

NAME = "image_folder"


def open_folder(root: Path, split: str, classes: str = "") -> PictureFiles:
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
    splits = list_splits(root)
    if split not in splits:
        raise InputError(
            f"image folder {root} has no split {split!r}: its sub-folders are its splits "
            f"({', '.join(splits) or 'there are none'}); expected {root}/{split}/<class>/<picture>."
        )
    place = splits[split]
    folders = list_folders(place)
    if not folders:
        raise InputError(f"{place} has no classes: expected one sub-folder for each, with its pictures.")
    listed = read_class_list(classes) if classes else find_list(root)
    if listed:
        _check_listed(place, folders, listed)
    else:
        for other in splits:
            _check_same_classes(root, split, folders, other)
    class_names = listed or order_folders(folders, root)
    passed_over = PassedOver(loops=find_loops(place))
    found = {name: list_pictures(place / name, passed_over) for name in folders}
    passed_over.report(str(place))
    _check_pictures(place, {name: len(found.get(name, ())) for name in class_names}, bool(listed))
    pictures = [
        (f"{name}/{picture}", label) for label, name in enumerate(class_names) for picture in found.get(name, ())
    ]
    return arrange_files(place, class_names, pictures)


def list_splits(root: Path) -> dict[str, Path]:
    """Return the folders of an image folder's splits, by name.

    They are the visible sub-folders, unless these hold pictures and nothing below: then they are classes, and `root` is
    the only split, named as itself if that is a split's name, else `all`.
    """
    folders = list_folders(root)
    has_deeper = any(list_folders(root / name) for name in folders)
    if (
        not has_deeper
        and folders
        and not any(name.lower() in KIND for name in folders)
        and _has_pictures(root, folders)
    ):
        name = root.absolute().name
        return {name if name.lower() in KIND else ALL: root}
    return {name: root / name for name in folders}


def _has_pictures(root: Path, folders: list[str]) -> bool:
    return any(
        os.path.splitext(entry.name)[1].lower() in picture_suffixes()
        for name in folders
        for entry in os.scandir(root / name)
    )


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


def _check_pictures(place: Path, counts: dict[str, int], is_listed: bool) -> None:
    """Raise `InputError` for a class without pictures; where a list says that the class is there, only say so."""
    without = [name for name, count in counts.items() if not count]
    if without and not is_listed:
        raise InputError(
            f"{place / without[0]} has no pictures: add some, or remove the class everywhere, or list all "
            f"classes by label, one in each line, in {LIST} at the folder's root or a file that data.classes names."
        )
    if len(without) == len(counts):
        raise InputError(f"{place} has no pictures of any of its {len(counts)} classes.")
    if without:
        say_once(
            log,
            f"{place} has no pictures of {len(without)} of the {len(counts)} classes of the list: "
            f"{word_names(without)}.",
        )


def _open(wanted: Wanted, split: str) -> Opened:
    if wanted.name == NAME and not wanted.directory:
        raise InputError(f"{NAME} needs data.directory: the folder that holds <split>/<class>/<picture>.")
    root = Path(os.path.expanduser(wanted.directory)) if wanted.name == NAME else wanted.path
    if os.path.isdir(root):
        split = match_split(split, list_splits(root)) or split
    files = open_folder(root, split, wanted.classes)
    return Opened(files, files.class_names, split)


NAMED_FOLDER = SourceKind(
    "",
    f"{NAME}, with data.directory",
    lambda wanted: wanted.name == NAME,
    _open,
    takes_directory=True,
)
IMAGE_FOLDER = SourceKind(
    NAME,
    "a folder of <split>/<class>/<picture>",
    lambda wanted: wanted.path.is_dir(),
    _open,
)
