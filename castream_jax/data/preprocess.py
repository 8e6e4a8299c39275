"""From encoded bytes to a uint8 square: Pillow's antialiased bilinear resizing, as torchvision does by default."""

import io
import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Pixels = UInt8[np.ndarray, "H W 3"]
BILINEAR = Image.Resampling.BILINEAR


def decode(encoded: bytes) -> Image.Image:
    """Return an encoded picture as RGB."""
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def squash(image: Image.Image, size: int) -> Image.Image:
    """Resize to a square, whatever the sides (the reference's evaluation)."""
    return image.resize((size, size), BILINEAR)


def resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to 256/224 of `size` and crop the centre (torchvision's evaluation)."""
    shorter = round(size * 256 / 224)
    width, height = image.size
    scale = shorter / min(width, height)
    resized = image.resize((max(shorter, int(width * scale)), max(shorter, int(height * scale))), BILINEAR)
    left, top = (round((side - size) / 2) for side in resized.size)
    return resized.crop((left, top, left + size, top + size))


RESIZES = {"squash": squash, "crop": resize_and_crop}


def random_resized_crop(image: Image.Image, size: int, smallest: float, rng: np.random.Generator) -> Image.Image:
    """Crop a random part, `smallest` to 1 of the area and 3/4 to 4/3 in shape, and resize it to a square."""
    width, height = image.size
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return image.resize((size, size), BILINEAR, box=(left, top, left + w, top + h))
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((size, size), BILINEAR, box=(left, top, left + side, top + side))


def jitter_brightness(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Multiply all pixels by one random factor in `1 - strength` to `1 + strength`."""
    table = np.clip(np.arange(256) * rng.uniform(1 - strength, 1 + strength), 0, 255).astype(np.uint8)
    return table[pixels]
