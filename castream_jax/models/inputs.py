"""What a network takes in: how a picture becomes a square of pixels, and these its input. Both go with the weights."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from castream_jax.errors import InputError

Orientation = Literal["upright", "stored"]
Transparency = Literal["white", "drop"]


@dataclass(frozen=True)
class Normalisation:
    """How pixels in 0..1 become a network's input: `(pixels - mean) / std`, for each channel."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @property
    def channels(self) -> int:
        """Of the images."""
        return len(self.mean)

    def __call__(self, pixels: UInt8[Array | np.ndarray, "B H W C"]) -> Float[Array, "B H W C"]:
        """Return uint8 images as a network's float32 input; `InputError` for another number of channels."""
        if pixels.shape[-1] != self.channels:
            raise InputError(f"images have {pixels.shape[-1]} channels: the normalisation is of {self.channels}.")
        mean, std = (jnp.asarray(values).reshape(1, 1, 1, -1) for values in (self.mean, self.std))
        return (jnp.asarray(pixels, jnp.float32) / 255 - mean) / std


IMAGENET = Normalisation()


def create_normalisation(mean: Any, std: Any) -> Normalisation:
    """Return the normalisation by a user's numbers, or raise `InputError` if they do not go together."""
    try:
        means, stds = tuple(map(float, mean)), tuple(map(float, std))
    except (TypeError, ValueError) as error:
        raise InputError(f"mean and std are {mean!r} and {std!r}: expected a number for each channel.") from error
    if not means or len(means) != len(stds):
        raise InputError(f"mean has {len(means)} numbers, std {len(stds)}: expected one of each for each channel.")
    if not all(map(math.isfinite, means)):
        raise InputError(f"mean is {means}: expected finite numbers, of pixels in 0..1.")
    if not all(math.isfinite(value) and value > 0 for value in stds):
        raise InputError(f"std is {stds}: expected numbers above 0, of pixels in 0..1.")
    return Normalisation(means, stds)


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
