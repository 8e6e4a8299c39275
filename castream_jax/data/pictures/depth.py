"""Grey of more than 8 bits as 8 bits: scaled by what the file says is white, or refused.

A picture of 12 bits in a file of 16 is all but black as it stands, and a network has an answer to black pictures too.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped
from PIL import Image, TiffImagePlugin

from castream_jax.errors import InputError

BITS, PHOTOMETRIC, SAMPLE_FORMAT, MAX_SAMPLE = 258, 262, 339, 281
"""TIFF's tags."""
SIGNED = 2
FEWEST = 0.25
"""The share of white that the brightest pixel reaches at least, unless the file says what is white: data of 14 bits
and fewer stay below that in 16 bits, photographs do not, as a rule."""
STRIP = 2**20
"""Pixels that are scaled at once."""
ADVICE = "Save it as 8 bits, scaled as you mean it: Image.fromarray((255 * (values / white)).round().astype('uint8'))."


def raw_mode(image: Image.Image) -> str:
    """Return how the pixels of an opened picture that is not loaded yet are stored, as "RGB;16B"; "" if not known."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture is grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_8_bits(image: Image.Image, stored: str) -> Image.Image:
    """Return grey of any depth as grey of 0 to 255, rounded to the nearest.

    White is 65535 of 16 bits and 4095 of 12, what TIFF's MaxSampleValue says if that is a number of full bits, 1 or 255
    of floats, and 255 or 65535 of 32 bits, whichever is the first that holds all pixels.

    Args:
      image: loaded, of a mode that `is_deep`.
      stored: its `raw_mode`.

    Raises:
      InputError: values below 0, NaN or above all these, or all below a quarter of white where the file does not say.
    """
    whites, is_said = find_whites(image, stored)
    lowest, highest = (
        float(reduce([reduce(strip) for strip in cut_strips(image)]))
        for reduce in (np.min, np.max)  # NaN stays
    )
    white = next((white for white in whites if highest <= white), None)
    if white is None or not lowest >= 0:
        raise InputError(
            f"its grey values are {lowest:g} to {highest:g}: expected 0 to {' or '.join(f'{w:g}' for w in whites)}. "
            f"{ADVICE}"
        )
    if not is_said and 0 < highest < FEWEST * white:
        raise InputError(
            f"its grey values end at {highest:g} of {white:g}, and it does not say what is white: data of fewer "
            f"bits than the file's? It would be all but black. {ADVICE}"
        )
    grey = np.concatenate([np.rint(strip * (255 / white)).astype(np.uint8) for strip in cut_strips(image)])
    return Image.fromarray(255 - grey if is_inverted(image) else grey)


def cut_strips(image: Image.Image) -> Iterator[Shaped[np.ndarray, "_ W"]]:
    """Yield the numbers of some rows after the other: all at once, a large picture takes much memory."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def find_whites(image: Image.Image, stored: str) -> tuple[tuple[int, ...], bool]:
    """Return the values that may be white, the lowest first, and whether the file itself says so."""
    kind = getattr(image, "format", None)
    if kind == "PPM" and image.mode == "I":
        return (65535,), stored != "I;16B"  # Pillow scales by the file's own maximum if that is not 65535
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode != "F":
        bits, largest = read_tag(image, BITS), read_tag(image, MAX_SAMPLE)
        if largest is not None and 255 < largest < 2**16 - 1 and (largest & (largest + 1)) == 0:
            return (largest,), True  # any other is a statistic, of which the standard says that it is no white
        if bits is not None and bits < 16:
            return (2**bits - 1,), True
        if bits == 16 and read_tag(image, SAMPLE_FORMAT) == SIGNED:
            return (2**15 - 1,), False
    if image.mode == "F":
        return (1, 255), False
    return ((255, 65535) if image.mode == "I" else (65535,)), False


def is_inverted(image: Image.Image) -> bool:
    """Return whether 0 is white, which Pillow minds up to 8 bits only."""
    return isinstance(image, TiffImagePlugin.TiffImageFile) and read_tag(image, PHOTOMETRIC) == 0


def read_tag(image: TiffImagePlugin.TiffImageFile, tag: int) -> int | None:
    """Return a whole number that TIFF says of each channel, the first one's; None if it says none."""
    value = image.tag_v2.get(tag)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else None


def check_colours(colours: Image.Image, stored: str) -> None:
    """Raise `InputError` for what Pillow takes for other colours than the file means.

    These are 8 bits with a sign, which it reads as without, and 16 bits that are all but black, of which it keeps the
    upper 8.
    """
    deep = is_deep(colours)
    if isinstance(colours, TiffImagePlugin.TiffImageFile) and not deep and read_tag(colours, SAMPLE_FORMAT) == SIGNED:
        raise InputError(f"its numbers have a sign, and it does not say which are black and white. {ADVICE}")
    if ";16" not in stored or deep:
        return
    highest = int(np.max(colours.convert("RGB").getextrema()))
    if highest < FEWEST * 255:
        raise InputError(
            f"its colours of 16 bits end at {highest} of 255: data of fewer bits than the file's? It would be all but "
            f"black. {ADVICE}"
        )


def values_of(image: Image.Image) -> Shaped[np.ndarray, "H W"]:
    """Return the numbers in a mask as they are, whatever their depth: of a palette its indices, of colours the largest
    channel's.

    Raises:
      InputError: it is of one colour, and only its alpha tells one place from another.
    """
    if is_deep(image) or image.mode == "P":
        return np.asarray(image)
    values = np.asarray(image.convert("RGB")).max(2)
    if image.mode in ("LA", "PA", "RGBA") and values.min() == values.max():
        least, most = image.getchannel("A").getextrema()
        if least != most:
            raise InputError("only its alpha tells places apart: save it without, the object as 255 and all else as 0.")
    return values
