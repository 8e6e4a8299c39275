"""Boxes as a listing has them: `x0 y0 x1 y1`, shares of the picture's sides, several apart by `;`."""

import re
from typing import Any

import numpy as np
from jaxtyping import Float

from castream_jax.data.objects.object_masks import ROUNDING
from castream_jax.data.sources.row_tables import Problems

NONE = np.zeros((0, 4))
NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"  # each text in one way: no search for others
BOX = rf"\s*{NUMBER}(?:\s+{NUMBER}){{3}}\s*"
BOXES = re.compile(rf"(?:{BOX}(?:;{BOX})*;?)?")
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
            found.append(parse_boxes(value))
        except (TypeError, ValueError):
            problems.note(MALFORMED, line, value)
            found.append(NONE)
    corners = np.concatenate([NONE, *found])
    rows = np.repeat(np.arange(len(found)), [*map(len, found)])  # the row of each box
    inside = ((corners >= -ROUNDING) & (corners <= 1 + ROUNDING)).all(1)  # NaN is not
    for row in dict.fromkeys(rows[~(inside & (corners[:, :2] < corners[:, 2:]).all(1))].tolist()):
        problems.note(OUTSIDE, lines[row], values[row])
    return [boxes[:, [1, 0, 3, 2]] if len(boxes) else boxes for boxes in found]


def parse_boxes(value: Any) -> Float[np.ndarray, "n 4"]:
    """Return boxes, (x0, y0, x1, y1); `ValueError` or `TypeError` for what are none."""
    if not value:
        return NONE
    if isinstance(value, str):
        if not BOXES.fullmatch(value.strip()):
            raise ValueError(f"{value} are no boxes")
        return np.array(value.replace(";", " ").split(), np.float64).reshape(-1, 4)
    if any(len(box) != 4 or any(isinstance(number, (bool, str)) for number in box) for box in value):
        raise ValueError(f"{value} are no boxes")
    return np.array(value, np.float64).reshape(-1, 4)
