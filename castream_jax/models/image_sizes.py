"""A few sizes that pictures of any shape fit into: a program is compiled for each size of images."""

import math

from castream_jax.errors import InputError

SHAPES = (1.0, 3 / 4, 4 / 3, 2 / 3, 3 / 2)
"""Heights over widths of most pictures."""


def choose_size(height: int, width: int, side: int = 224, multiple: int = 32) -> tuple[int, int]:
    """Return the size, of five, that a picture is resized to with the least change of its shape.

    They have about as many pixels as a square: for 224 pixels 224x224, 192x256, 256x192, 192x288 and 288x192.

    Args:
      height, width: the picture's, in pixels.
      side: of the square that the network was trained on.
      multiple: of which both sides are one: what the network divides them by.

    Returns:
      Height and width in pixels.

    Raises:
      InputError: a picture without pixels, or a side that is no multiple.
    """
    if min(height, width) < 1:
        raise InputError(f"the picture has {height}x{width} pixels: expected at least 1x1.")
    if multiple < 1 or side < multiple or side % multiple:
        raise InputError(f"side is {side}: expected a multiple of {multiple}, which the network divides sides by.")

    def fit(shape: float) -> tuple[int, int]:
        ratios = math.sqrt(shape), 1 / math.sqrt(shape)
        rows, columns = (multiple * round(side * ratio / multiple) for ratio in ratios)
        return rows, columns

    sizes = [fit(shape) for shape in SHAPES]
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1] * width / height)))
