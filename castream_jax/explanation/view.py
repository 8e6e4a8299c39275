"""A picture ready to be explained: as the network sees it, and as people do."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from castream_jax.data.pictures.preprocess import Resize

LARGEST = 1200
"""Pixels of the longer side of what people see."""


@dataclass(frozen=True, eq=False)
class View:
    """A picture and its name."""

    name: str
    pixels: UInt8[np.ndarray, "H W C"]
    """What the network sees."""
    ratio: float
    """Height over width to show it in."""
    shown: UInt8[np.ndarray, "h w 3"] | None = None
    """The same part of the picture in its own shape and resolution; None: there is no other."""
    images: Float[Array, "1 H W C"] | None = None
    """The normalised picture, where that came first; None: it is normalised from `pixels`."""


def prepare(name: str, image: Image.Image, resize: Resize) -> View:
    """Return a picture as the network sees it, beside what it sees of it."""
    box = resize.part(*image.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, LARGEST / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = image.resize(size, Image.Resampling.BILINEAR, box=box)
    return View(name, np.asarray(resize(image)), height / width, np.asarray(shown))
