"""From a decoded picture to a uint8 square: Pillow's antialiased resizing, as torchvision does by default."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from castream_jax.data.pictures.decoding import MAX_PIXELS
from castream_jax.errors import InputError, choose
from castream_jax.models.inputs import Preprocessing

Pixels = UInt8[np.ndarray, "H W 3"]
Mode = Literal["squash", "crop"]
Interpolation = Literal["bilinear", "bicubic"]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Resize:
    """How a picture of any size becomes a square for evaluation: `resize(image)`.

    `squash` resizes to the square whatever the sides (the reference's evaluation). `crop` resizes the shorter side
    and cuts the square out of the centre (torchvision's evaluation, with its rounding).

    Raises:
      InputError: an unknown mode or interpolation, a size below 1, or a shorter side below the size.
    """

    size: int
    """The square's side, in pixels."""
    mode: Mode
    interpolation: Interpolation = "bilinear"
    shorter_side: int = 0
    """What `crop` resizes the shorter side to; 0: 256/224 of `size`, rounded. `squash` does not use it."""

    def __post_init__(self) -> None:
        choose("resize mode", self.mode, ("squash", "crop"))
        choose("interpolation", self.interpolation, FILTERS)
        if self.size < 1:
            raise InputError(f"the size to resize to is {self.size}: expected 1 or more.")
        if self.shorter_side and self.shorter_side < self.size:
            raise InputError(
                f"the shorter side to resize to is {self.shorter_side}: expected 0 (256/224 of the size) or at least "
                f"the size that is cut out of it, {self.size}."
            )

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> "Resize":
        """Return how a network's pictures become squares."""
        return cls(preprocessing.size, preprocessing.resize, preprocessing.interpolation, preprocessing.shorter_side)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the square, `size` x `size`."""
        return self._square(image, FILTERS[self.interpolation])

    def nearest(self, mask: Image.Image) -> Image.Image:
        """Return the square of a mask of the picture's size: the same places, each with its nearest pixel."""
        return self._square(mask, Image.Resampling.NEAREST)

    def part(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) of what a picture of these sides shows in the square, in its own pixels."""
        if self.mode == "squash":
            return (0.0, 0.0, float(width), float(height))
        scaled = self._scaled(width, height)
        left, top = (round((side - self.size) / 2) for side in scaled)
        across, down = width / scaled[0], height / scaled[1]
        return (left * across, top * down, (left + self.size) * across, (top + self.size) * down)

    def _square(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        if self.mode == "squash":
            return image.resize((self.size, self.size), resampling)
        scaled = self._scaled(*image.size)
        left, top = (round((side - self.size) / 2) for side in scaled)
        box = (left, top, left + self.size, top + self.size)
        if math.prod(scaled) <= MAX_PIXELS:
            return image.resize(scaled, resampling).crop(box)
        # Of a picture this narrow, only the square is resized: it differs at the square's edges, by what lies beyond.
        return image.resize((self.size, self.size), resampling, box=self.part(*image.size))

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) after `crop`'s resizing; the longer side is rounded down."""
        shorter = self.shorter_side or round(self.size * 256 / 224)
        longer = int(shorter * max(width, height) / min(width, height))
        return (shorter, longer) if width <= height else (longer, shorter)


def random_resized_crop(image: Image.Image, size: int, smallest: float, rng: np.random.Generator) -> Image.Image:
    """Crop a random part, `smallest` to 1 of the area and 3/4 to 4/3 in shape, and resize it (bilinear) to a square."""
    width, height = image.size
    resampling = Image.Resampling.BILINEAR
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return image.resize((size, size), resampling, box=(left, top, left + w, top + h))
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((size, size), resampling, box=(left, top, left + side, top + side))


def jitter_brightness(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Multiply all pixels by one random factor in `1 - strength` to `1 + strength`."""
    table = np.clip(np.arange(256) * rng.uniform(1 - strength, 1 + strength), 0, 255).astype(np.uint8)
    return table[pixels]
