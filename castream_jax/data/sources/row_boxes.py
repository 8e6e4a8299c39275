"""Boxes as a listing has them: `x0 y0 x1 y1`, shares of the picture's sides, several apart by `;`."""

from typing import Any

import numpy as np
from jaxtyping import Float

from castream_jax.data.object_masks import ROUNDING
from castream_jax.data.sources.tables import Problems
from castream_jax.data.voc import read_number

MALFORMED = "boxes that are not 'x0 y0 x1 y1', several apart by ';'"
OUTSIDE = "boxes outside of their picture, or without area: shares of its sides are expected, 0 to 1, x0 below x1"


def read_boxes(values: list[Any], lines: list[int], problems: Problems) -> list[Float[np.ndarray, "_ 4"]]:
    """Return the boxes of each row, (ymin, xmin, ymax, xmax) as shares; what is wrong is noted.

    Args:
      values: of each row, a text, or a list of lists of numbers; empty or None where there is no box.
      lines: of each row.
      problems: told of all rows that are malformed, or have a box that is empty, inverted or outside.
    """
    found = []
    for value, line in zip(values, lines, strict=True):
        try:
            corners = parse_boxes(value)
        except (TypeError, ValueError):
            problems.note(MALFORMED, line, value)
            corners = np.zeros((0, 4))
        inside = (corners >= -ROUNDING) & (corners <= 1 + ROUNDING)  # NaN is not
        if not (inside.all() and (corners[:, :2] < corners[:, 2:]).all()):
            problems.note(OUTSIDE, line, value)
        found.append(corners[:, [1, 0, 3, 2]])
    return found


def parse_boxes(value: Any) -> Float[np.ndarray, "n 4"]:
    """Return boxes, (x0, y0, x1, y1); `ValueError` or `TypeError` for what are none."""
    if isinstance(value, str):
        value = [[read_number(number) for number in box.split()] for box in value.split(";") if box.strip()]
    boxes: list[list[float]] = []
    for box in value or ():
        if len(box) != 4 or any(isinstance(number, (bool, str)) for number in box):
            raise ValueError(f"{box} is no box")
        boxes.append([float(number) for number in box])
    return np.array(boxes, np.float64).reshape(-1, 4)
