"""The labels of ImageNet's 50,000 validation pictures, ILSVRC2012_val_00000001.JPEG and on, and what must agree.

Their order is ImageNet's own; the class of each is in a list that comes with TFDS. What lies beside the pictures must
agree with it: a devkit's ground truth, whose numbers are its own and not in the order of labels, a `val.txt`, or boxes.
"""

import csv
import functools
import importlib.resources
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from castream_jax.data.classes.imagenet_names import imagenet_classes
from castream_jax.data.objects.voc import OUTSIDE
from castream_jax.data.sources.row_tables import Problems
from castream_jax.errors import InputError
from castream_jax.storage.regular_files import read_regular

VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})(\.\w+)?", re.ASCII)
COUNT = 50_000
LARGEST = 100_000_000
"""Bytes of a file of labels: ten times the largest."""
OTHER = (
    "labels that are not ImageNet's own for that picture, whose classes are in the order of their identifiers, from 0"
)


@functools.cache
def validation_classes() -> tuple[str, ...]:
    """Return the identifier of the class of each validation picture, in ImageNet's order."""
    file = importlib.resources.files("tensorflow_datasets") / "datasets/imagenet2012/validation_labels.txt"
    return tuple(file.read_text(encoding="utf-8").split())


def find_official(name: str) -> str | None:
    """Return the class of a picture of the validation set by its file's name; None if it is not called as one."""
    match = VALIDATION.fullmatch(Path(name).name)
    place = int(match[1]) if match else 0
    return validation_classes()[place - 1] if 1 <= place <= COUNT else None


def label_pictures(names: Sequence[str], folder: Path, label_list: Path | None) -> list[int]:
    """Return the labels of pictures in a flat folder.

    Args:
      names: of the files.
      folder: where they are.
      label_list: a `val.txt`, if there is one: a name and a label or identifier in each line.

    Raises:
      InputError: pictures whose class nothing says; a list that contradicts ImageNet's own.
    """
    labels = {name: place for place, name in enumerate(imagenet_classes())}
    said = read_label_list(label_list, labels) if label_list else {}
    unknown = [name for name in names if Path(name).stem not in said and find_official(name) is None]
    if unknown:
        raise InputError(
            f"{folder} has {len(unknown):,} pictures whose class nothing says, first {sorted(unknown)[0]!r}: expected "
            f"ILSVRC2012_val_00000001.JPEG and on, or val.txt in {folder.parent}, a file and its label in each line."
        )
    return [said.get(Path(name).stem, labels.get(find_official(name) or "", -1)) for name in names]


def read_label_list(file: Path, labels: dict[str, int]) -> dict[str, int]:
    """Return the labels that a `val.txt` gives, by name without suffix; raises `InputError` for what is wrong."""
    problems, found = Problems(file), dict[str, int]()
    for line, text in enumerate(_read_text(file).splitlines(), start=1):
        words = text.split()
        if not words:
            continue
        label = labels.get(words[-1], int(words[-1]) if words[-1].isascii() and words[-1].isdecimal() else -1)
        if len(words) != 2 or not 0 <= label < len(labels):
            problems.note(f"lines that are not a file's name and a label in 0 to {len(labels) - 1}", line, text)
            continue
        official = find_official(words[0])
        if official is not None and labels[official] != label:
            problems.note(OTHER, line, text)
        found[Path(words[0]).stem] = label
    problems.check("Expected a file's name and its label in each line.")
    return found


def check_ground_truth(file: Path) -> None:
    """Raise `InputError` unless a devkit's ground truth names the classes of ImageNet's own list, by other numbers."""
    numbers, classes = _read_text(file).split(), validation_classes()
    if len(numbers) != COUNT:
        raise InputError(f"{file} has {len(numbers):,} lines: expected the number of a class in each of {COUNT:,}.")
    pairs = set(zip(numbers, classes))
    if len(pairs) != len(imagenet_classes()) or len({number for number, _ in pairs}) != len(pairs):
        raise InputError(
            f"{file} contradicts ImageNet's own list of validation labels: expected one number for each class, as "
            "ILSVRC2012_validation_ground_truth.txt of the devkit has it."
        )


def read_solution(file: Path) -> dict[str, Float[np.ndarray, "_ 4"]]:
    """Return the boxes of a `LOC_val_solution.csv`, by name without suffix: (ymin, xmin, ymax, xmax) in pixels.

    Raises:
      InputError: it cannot be read, a line is malformed, or it contradicts ImageNet's own list.
    """
    problems, found = Problems(file), dict[str, Float[np.ndarray, "_ 4"]]()
    for line, row in enumerate(csv.reader(io.StringIO(_read_text(file))), start=1):
        if not row or row[0] == "ImageId":
            continue
        words = row[1].split() if len(row) == 2 else []
        places = [word for place, word in enumerate(words) if place % 5]
        if not words or len(words) % 5 or not all(re.fullmatch(r"-?\d+", place) for place in places):
            problems.note("lines that are not a name, and a class with four numbers for each box", line, row)
            continue
        corners = np.array(places, np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]
        if (corners < -OUTSIDE).any() or not (corners[:, :2] < corners[:, 2:]).all():
            problems.note("boxes outside of their picture, or without area", line, row[1])
        if find_official(row[0]) not in (None, words[0]):
            problems.note(OTHER, line, row[1])
        found[row[0]] = corners
    problems.check("Expected Kaggle's file: ImageId,PredictionString.")
    return found


def _read_text(file: Path) -> str:
    try:
        return read_regular(file, LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): expected a text file.") from error
