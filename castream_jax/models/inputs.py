"""What a network takes in: how a picture becomes a square of pixels, and these its input. Both go with the weights."""

from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

Orientation = Literal["upright", "stored"]
Transparency = Literal["white", "drop"]


@dataclass(frozen=True)
class Normalisation:
    """How pixels in 0..1 become a network's input: `(pixels - mean) / std`, for each channel."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __call__(self, pixels: UInt8[Array | np.ndarray, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """Return uint8 images as a network's float32 input."""
        mean, std = (jnp.asarray(values).reshape(1, 1, 1, 3) for values in (self.mean, self.std))
        return (jnp.asarray(pixels, jnp.float32) / 255 - mean) / std


IMAGENET = Normalisation()
USUAL_SIZE = 224
"""Of the square, in pixels, where nothing says it."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the square of pixels that a network sees; `data.preprocess` does it."""

    size: int
    """The square's side, in pixels, 1 or more."""
    resize: Literal["squash", "crop"] = "squash"
    """Squash the picture to the square, or resize its shorter side and cut the square out of the centre."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    shorter_side: int = 0
    """What a crop resizes the shorter side to; 0: 256/224 of the size."""
    orientation: Orientation = "upright"
    """Turn a picture as its EXIF orientation says, as people see it, or take it as it is stored."""
    transparency: Transparency = "white"
    """Put a picture that is transparent on white, as people see it, or drop its alpha and see what that hides."""

    def at(self, size: int) -> "Preprocessing":
        """Return the same for squares of another size: a crop keeps its share of the picture."""
        return replace(self, size=size, shorter_side=round(self.shorter_side * size / self.size))
