"""Boxes of a picture that EXIF says to turn: brought from the frame that their file means to that of the picture.

A picture with an EXIF orientation has two frames: as it is stored, and upright, as people see it. A file of boxes means
one of them, and its size tells which unless both have the same; a resized copy has the shape of its picture.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from castream_jax.errors import InputError

Size = tuple[int, int]
"""Width and height."""

UPRIGHT = {
    1: ("y", "x"),
    2: ("y", "-x"),
    3: ("-y", "-x"),
    4: ("-y", "x"),
    5: ("x", "y"),
    6: ("x", "-y"),
    7: ("-x", "-y"),
    8: ("-x", "y"),
}
"""By EXIF orientation: what of a stored place is y and what is x of the upright one; `-` counts from the other end."""
STORED = {**UPRIGHT, 6: UPRIGHT[8], 8: UPRIGHT[6]}
"""The other way: each but the quarter turns is its own opposite."""


def turn_boxes(boxes: Any, ways: tuple[str, str]) -> Float[np.ndarray, "n 4"]:
    """Return boxes, (ymin, xmin, ymax, xmax) as shares, in another frame of their picture (`UPRIGHT`, `STORED`)."""
    ymin, xmin, ymax, xmax = np.asarray(boxes, np.float64).reshape(-1, 4).T
    spans = {"y": (ymin, ymax), "x": (xmin, xmax), "-y": (1 - ymax, 1 - ymin), "-x": (1 - xmax, 1 - xmin)}
    (top, bottom), (left, right) = spans[ways[0]], spans[ways[1]]
    return np.stack([top, left, bottom, right], axis=1)


def fit_boxes(boxes: Any, said: Size, size: Size, orientation: int, turned: bool) -> Float[np.ndarray, "n 4"]:
    """Return a file's boxes in the frame of a picture as it is used.

    Args:
      boxes: (ymin, xmin, ymax, xmax) as shares, [n 4].
      said: the size of the picture that the file says.
      size: of the picture as it is used.
      orientation: what the picture's EXIF says, 1 to 8; 1 where it says nothing.
      turned: the picture has been turned upright; else it is as stored.

    Raises:
      InputError: the size is of a picture of another shape, or fits both frames of one that was turned.
    """
    other = size[::-1] if orientation >= 5 else size
    stored, upright = (other, size) if turned else (size, other)
    fits = {"stored": has_shape(said, stored), "upright": has_shape(said, upright)}
    if all(fits.values()) and stored != upright and said in (stored, upright):  # all but square: the very size counts
        fits = {"stored": said == stored, "upright": said == upright}
    if not any(fits.values()):
        raise InputError(f"its boxes are of a picture of {word(said)} pixels, and it has {word(size)}")
    if orientation == 1:
        return np.asarray(boxes, np.float64).reshape(-1, 4)
    if all(fits.values()) and turned:
        raise InputError(
            f"its boxes may be of the picture as it is stored or as it is seen, for EXIF turns it (orientation "
            f"{orientation}) and its size, {word(said)}, is the same in both. Save the picture upright, or set "
            "data.orientation='stored' if they are of the picture as it is stored"
        )
    means = "stored" if fits["stored"] else "upright"
    if means == ("upright" if turned else "stored"):
        return turn_boxes(boxes, UPRIGHT[1])
    return turn_boxes(boxes, (UPRIGHT if turned else STORED)[orientation])


def has_shape(one: Size, other: Size) -> bool:
    """Return whether two sizes are those of a picture and of a resized copy, whose sides are rounded."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def word(size: Size) -> str:
    """Word a size."""
    return f"{size[0]}x{size[1]}"
