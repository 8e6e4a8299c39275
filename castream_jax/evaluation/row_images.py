"""Which rows are of one image, where an image has a row for each class that it shows, and whose answers are right."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from castream_jax.evaluation.rows import group_rows

IMAGE_ID = "image_id"
"""The column that says it; rows of one class an image have none."""
IMAGE_FIELD = pa.field(IMAGE_ID, pa.string(), nullable=False)


def number_images(rows: pa.Table) -> Int[np.ndarray, "n"] | None:
    """Return the image of each row of one attribution and pooling, as a number; None where each has one row.

    Args:
      rows: of the same images in the same order for every attribution and pooling, or of one of them.
    """
    if IMAGE_ID not in rows.column_names:
        return None
    first = next(iter(group_rows(rows.select(["attribution", "pooling", IMAGE_ID])).values()), None)
    names = [] if first is None else first[IMAGE_ID].to_pylist()
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([known[name] for name in names], np.int64)


def count_pictures_of(rows: pa.Table, per_map: int) -> int:
    """Return of how many images rows are, `per_map` of them for each attribution and pooling."""
    numbers = number_images(rows)
    return per_map if numbers is None else len(set(numbers.tolist()))


def find_right(group: pa.Table) -> Bool[np.ndarray, "n"]:
    """Return which rows of one attribution and pooling have a right answer: the label, or of an image of several labels
    any of those that it has a row for.
    """
    predicted, labels = group["predicted_class"].to_pylist(), group["label"].to_pylist()
    names = group[IMAGE_ID].to_pylist() if IMAGE_ID in group.column_names else range(len(labels))
    shown = set(zip(names, labels, strict=True))
    return np.array([pair in shown for pair in zip(names, predicted, strict=True)], bool)
