"""A PASCAL VOC file: the size of its picture, and the objects in it by name and box."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from jaxtyping import Float

from castream_jax.errors import InputError
from castream_jax.storage.regular_files import read_regular

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
LARGEST = 4_000_000
"""Bytes of a file: those of ImageNet have less than a hundredth."""
OUTSIDE = 1
"""Pixels that a corner may lie outside of the picture: some count from 0, others from 1."""
CORNERS = ("ymin", "xmin", "ymax", "xmax")


@dataclass(frozen=True)
class Annotation:
    """What a file says."""

    size: tuple[int, int]
    """Width and height of the picture that its maker saw."""
    names: tuple[str, ...]
    """Of each object; empty where it has none."""
    boxes: Float[np.ndarray, "n 4"]
    """(ymin, xmin, ymax, xmax) of each object, as shares of height and width."""
    difficult: tuple[bool, ...] = ()
    """Whether each is hard to tell, as its file says."""


def read_annotation(file: str | Path) -> Annotation:
    """Return what a PASCAL VOC file says.

    Raises:
      InputError: it is no regular file or too large, cannot be read, lacks a size or a corner, declares a document type
        (whose entities could grow without end), or has a box that is empty, inverted or outside of its picture.
    """
    try:
        root = parse_plain(read_regular(file, LARGEST))
        width, height = (read_number(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        if not all(side >= 1 and side == int(side) for side in (width, height)):
            raise ValueError(f"its size is {width:g}x{height:g}")
        names, corners, difficult = [], [], []
        for item in root.iterfind("object"):
            for box in item.iterfind("bndbox"):
                names.append((item.findtext("name") or "").strip())
                difficult.append((item.findtext("difficult") or "").strip() == "1")
                corners.append([read_number(box.findtext(name, "")) for name in CORNERS])
                check_box(corners[-1], (width, height))
    except (OSError, expat.ExpatError, LookupError, ValueError, OverflowError) as error:  # LookupError: of an encoding
        raise InputError(
            f"cannot read the boxes of {file} ({error}): expected PASCAL VOC's size and object/bndbox."
        ) from error
    shares = np.array(corners, np.float64).reshape(-1, 4) / (height, width, height, width)
    return Annotation((int(width), int(height)), tuple(names), shares, tuple(difficult))


def read_number(text: str) -> float:
    """Return a number; `ValueError` for what is none, or not finite (Python's `float` takes 2_0 and nan as well)."""
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{text[:40]!r} is no number")
    return float(text)


def check_box(corners: list[float], size: tuple[float, float]) -> None:
    """Raise `ValueError` unless (ymin, xmin, ymax, xmax) is a box in a picture of that width and height."""
    ymin, xmin, ymax, xmax = corners
    width, height = size
    is_box = ymin < ymax and xmin < xmax  # which nothing is that has a NaN
    is_inside = min(ymin, xmin) >= -OUTSIDE and ymax <= height + OUTSIDE and xmax <= width + OUTSIDE
    if not (is_box and is_inside):
        told = ", ".join(f"{name} {value:g}" for name, value in zip(CORNERS, corners))
        raise ValueError(f"{told} is no box in a picture of {width:g}x{height:g}")


def parse_plain(text: bytes) -> Element:
    """Return the root of an XML document; `ValueError` if it declares a document type, `ExpatError` if it is none."""

    def refuse(*_: object) -> NoReturn:
        raise ValueError("it declares a document type")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(text, True)
    return builder.close()
