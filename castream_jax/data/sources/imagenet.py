"""ImageNet as people have it: folders of identifiers, or Kaggle's; validation pictures in such folders, or in one.

    train/n01440764/…, val/n01440764/… or val/ILSVRC2012_val_00000001.JPEG
    ILSVRC/Data/CLS-LOC/{train,val}/…, LOC_val_solution.csv         as Kaggle has it

Labels are ImageNet's own, 0 to 999, whichever classes have pictures.
"""

import itertools
import os
from pathlib import Path

from castream_jax.data.classes.class_names import word_names
from castream_jax.data.classes.imagenet_names import IMAGENET, imagenet_classes
from castream_jax.data.pictures.listing import PassedOver, list_pictures
from castream_jax.data.sources.image_folder import list_folders, open_folder
from castream_jax.data.sources.imagenet_labels import (
    VALIDATION,
    check_ground_truth,
    label_pictures,
    read_solution,
)
from castream_jax.data.sources.kind import Opened, SourceKind, Wanted
from castream_jax.data.sources.picture_files import Boxes, PictureFiles, arrange_files
from castream_jax.data.sources.splits import KIND, find_split
from castream_jax.errors import InputError

NAMES = ("imagenet", "imagenet2012")
INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Where train and val are, below the folder that is named."""
VAL_LIST, SOLUTION = "val.txt", "LOC_val_solution.csv"
TRUTH = tuple(
    f"{place}ILSVRC2012_validation_ground_truth.txt" for place in ("", "data/", "ILSVRC2012_devkit_t12/data/")
)
"""Where a devkit's labels may lie."""
PEEKED = 20
"""Files of a folder that tell whether all are ImageNet's validation pictures."""


def find_splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits train and val, by name; `root` may be the latter itself."""
    for inside in INSIDE:
        place = root / inside
        names = list_folders(place) if place.is_dir() else []
        splits = {name: place / name for name in names if KIND.get(name.lower()) in ("train", "validation")}
        if found := {name: folder for name, folder in splits.items() if is_flat(folder) or has_classes(folder)}:
            return found
    return {"val": root} if root.is_dir() and is_flat(root) else {}


def is_official(folder: Path) -> bool:
    """Return whether a folder holds ImageNet's validation pictures by their own names."""
    with os.scandir(folder) as entries:
        return any(VALIDATION.fullmatch(entry.name) for entry in itertools.islice(entries, PEEKED))


def is_flat(folder: Path) -> bool:
    """Return whether a folder holds validation pictures, whose classes their names tell or a list beside it."""
    return is_official(folder) or (not list_folders(folder) and find_beside(folder, VAL_LIST) is not None)


def has_classes(folder: Path) -> bool:
    """Return whether a folder's sub-folders are classes of ImageNet."""
    folders = list_folders(folder)
    return bool(folders) and set(folders) <= set(imagenet_classes())


def find_beside(folder: Path, *files: str, above: int = 1) -> Path | None:
    """Return a file in a folder or in one of those `above` it; None: not there."""
    places = [folder, *folder.absolute().parents[:above]]
    return next((place / file for place in places for file in files if (place / file).is_file()), None)


def open_flat(folder: Path) -> PictureFiles:
    """Return the validation pictures of a folder, with their boxes where Kaggle's list of them lies above it.

    Raises:
      InputError: pictures whose class nothing says, or files beside them that contradict ImageNet's own labels.
    """
    passed_over = PassedOver()
    names = list_pictures(folder, passed_over)
    passed_over.report(str(folder))
    if not names:
        raise InputError(f"{folder} has no pictures.")
    labels = label_pictures(names, folder, find_beside(folder, VAL_LIST))
    if truth := find_beside(folder, *TRUTH):
        check_ground_truth(truth)
    boxes = None
    if solution := find_beside(folder, SOLUTION, above=4):
        known = read_solution(solution)
        if without := [name for name in names if Path(name).stem not in known]:
            raise InputError(
                f"{solution} has no boxes of {len(without):,} of the {len(names):,} pictures in {folder}: "
                f"{word_names(without)}. Expected a line for each, or no such file there."
            )
        boxes = Boxes([known[Path(name).stem] for name in names], in_pixels=True)
    pictures = list(zip(names, labels, strict=True))
    return arrange_files(folder, imagenet_classes(), pictures, boxes, is_listed=True)


def _open(wanted: Wanted, split: str) -> Opened:
    root = _root(wanted)
    splits = find_splits(root)
    split = find_split(split, splits, str(root))
    folder = splits[split]
    files = open_flat(folder) if is_flat(folder) else open_folder(folder.parent, split, IMAGENET)
    return Opened(files, imagenet_classes(), split)


def _root(wanted: Wanted) -> Path:
    return Path(os.path.expanduser(wanted.directory)) if wanted.name in NAMES else wanted.path


def _is_named(wanted: Wanted) -> bool:
    """Return whether ImageNet is asked for by name, and `data.directory` holds its pictures and no prepared dataset."""
    if wanted.name not in NAMES or not wanted.directory or (_root(wanted) / "imagenet2012").is_dir():
        return False
    return bool(find_splits(_root(wanted)))


def _is_there(wanted: Wanted) -> bool:
    """Return whether a folder is ImageNet by more than the names of its sub-folders."""
    splits = find_splits(wanted.path) if wanted.path.is_dir() else {}
    return any(is_official(folder) or folder.parent.name == "CLS-LOC" for folder in splits.values())


IMAGENET_BY_NAME = SourceKind(
    "imagenet_pictures",
    f"{NAMES[1]}, with data.directory, where its train/ and val/ are",
    _is_named,
    _open,
    lambda wanted, split: imagenet_classes(),
    takes_directory=True,
)
IMAGENET_BY_FOLDER = SourceKind(
    "imagenet_pictures",
    "ImageNet's folder, or Kaggle's",
    _is_there,
    _open,
    lambda wanted, split: imagenet_classes(),
)
