"""`castream_demo`: handwritten digits on photographs, made from what scikit-learn and scikit-image bundle.

Each 96x96 image holds one digit to recognise and one distractor, a symbol that is no digit, on a
crop of a photograph. The digit's mask and box are kept, so that explanations can be checked against the truth.
Digits are split in their stored order (writers mix as little as the set allows); every photograph is cut into
three upright bands, one for each split: no digit and no pixel of a photograph serves two splits.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw

SIZE = 96
SEED = 20240423
SOFTENING = 0.6
"""The photographs' contrast, of which this share is kept, so that a person can read every digit."""


@dataclass(frozen=True)
class Part:
    """What one split is made of: images to make, the range of digits, and the band of every photograph."""

    images: int
    digits: slice
    band: tuple[float, float]
    """First and last column, as shares of the width."""


PARTS = {
    "train": Part(6000, slice(0, 1297), (0.0, 0.6)),
    "validation": Part(600, slice(1297, 1437), (0.6, 0.75)),
    "test": Part(1000, slice(1437, 1797), (0.75, 1.0)),
}
PHOTOS = (
    *("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina"),
    *("stereo_motorcycle", "china", "flower", "brick", "camera", "coins", "grass", "gravel", "moon"),
)
SYMBOLS = (
    (((0.2, 0.2), (0.8, 0.8)), ((0.2, 0.8), (0.8, 0.2))),  # cross
    (((0.5, 0.2), (0.8, 0.75), (0.2, 0.75), (0.5, 0.2), (0.8, 0.75)),),  # triangle
    (((0.15, 0.5), (0.85, 0.5)), ((0.6, 0.25), (0.85, 0.5), (0.6, 0.75))),  # arrow
    (((0.1, 0.65), (0.3, 0.3), (0.5, 0.65), (0.7, 0.3), (0.9, 0.65)),),  # zigzag
)
"""Strokes as points in the unit square."""


class CastreamDemo(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits on photographs, with masks."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits, with a distractor, on crops of photographs.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIZE, SIZE, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                    "mask": tfds.features.Image(shape=(SIZE, SIZE, 1), encoding_format="png"),
                    "box": tfds.features.BBoxFeature(),
                    "id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # examples are independent draws already; the stored order is the ids'
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in PARTS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        return generate(split)


def generate(split: str, images: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (key, example) of a split, the same for ever."""
    import sklearn.datasets  # here, as importing it takes long and what is once made does not need it

    part = PARTS[split]
    digits = sklearn.datasets.load_digits()
    glyphs = [as_image(pixels / 16) for pixels in digits.images[part.digits]]
    labels = digits.target[part.digits]
    photos = [cut_band(load_photo(name), part.band) for name in PHOTOS]
    for index in range(part.images if images is None else images):
        rng = np.random.default_rng([SEED, list(PARTS).index(split), index])
        image, mask, label = compose(rng, glyphs, labels, photos)
        top, bottom = np.flatnonzero(mask.any(1))[[0, -1]]
        left, right = np.flatnonzero(mask.any(0))[[0, -1]]
        yield (
            index,
            {
                "image": encode(image, "jpeg"),
                "label": label,
                "mask": encode(mask.astype(np.uint8) * 255, "png"),
                "box": tfds.features.BBox(
                    ymin=top / SIZE, xmin=left / SIZE, ymax=(bottom + 1) / SIZE, xmax=(right + 1) / SIZE
                ),
                "id": f"{split}_{index:05d}",
            },
        )


def compose(
    rng: np.random.Generator, glyphs: list[Image.Image], labels: np.ndarray, photos: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return an image [SIZE SIZE 3] uint8, its digit's mask [SIZE SIZE] bool, and its label."""
    canvas = background(rng, photos[rng.integers(len(photos))])
    chosen = int(rng.integers(len(glyphs)))
    side = int(rng.integers(42, 61))
    place = rng.integers(0, SIZE - side + 1, 2)
    other_side, other_place = free_place(rng, place, side)
    distractor = draw_symbol(rng)
    canvas, _ = paste(rng, canvas, distractor, other_side, other_place)
    canvas, mask = paste(rng, canvas, glyphs[chosen], side, place)
    canvas = canvas + rng.normal(0, 4, canvas.shape)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), mask, int(labels[chosen])


def background(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """Return a random square crop of a photograph, resized to SIZE and softened, float [SIZE SIZE 3]."""
    side = int(rng.integers(min(SIZE, *photo.shape[:2]), min(2 * SIZE, *photo.shape[:2]) + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    crop = Image.fromarray(photo[top : top + side, left : left + side])
    pixels = np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float64)
    mean = pixels.mean((0, 1))
    return mean + SOFTENING * (pixels - mean)


def free_place(rng: np.random.Generator, place: np.ndarray, side: int) -> tuple[int, np.ndarray]:
    """Return the side and place of a distractor that does not overlap the digit: in the widest free strip."""
    strips = [place[0], SIZE - place[0] - side, place[1], SIZE - place[1] - side]  # above, below, left, right
    widest = int(np.argmax(strips))
    other = int(min(strips[widest], rng.integers(18, 33)))
    across = int(rng.integers(0, strips[widest] - other + 1))
    along = int(rng.integers(0, SIZE - other + 1))
    start = across if widest in (0, 2) else place[widest // 2] + side + across
    return other, np.array([start, along] if widest < 2 else [along, start])


def draw_symbol(rng: np.random.Generator) -> Image.Image:
    """Return a 64x64 drawing that is no digit: a cross, a triangle, an arrow or a zigzag, turned at random."""
    strokes = SYMBOLS[rng.integers(len(SYMBOLS))]
    drawing = Image.new("L", (64, 64))
    for stroke in strokes:
        ImageDraw.Draw(drawing).line([(64 * x, 64 * y) for x, y in stroke], fill=255, width=9, joint="curve")
    return drawing.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC)


def paste(
    rng: np.random.Generator, canvas: np.ndarray, glyph: Image.Image, side: int, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas with a glyph painted on it in a contrasting colour, and the glyph's mask."""
    alpha = np.zeros(canvas.shape[:2])
    top, left = place
    alpha[top : top + side, left : left + side] = np.asarray(glyph.resize((side, side), Image.Resampling.BICUBIC)) / 255
    covered = alpha > 0.5
    luminance = canvas[covered].mean() if covered.any() else canvas.mean()
    contrast = rng.uniform(100, 190) * (1 if luminance < 127 else -1)
    colour = np.clip(luminance + contrast + rng.uniform(-40, 40, 3), 0, 255)
    return canvas * (1 - alpha[..., None]) + colour * alpha[..., None], covered


def as_image(intensity: np.ndarray) -> Image.Image:
    """Return an 8x8 glyph in 0..1, with a margin, as a smooth 64x64 image."""
    small = Image.fromarray(np.rint(np.pad(intensity, 1) * 255).astype(np.uint8))
    return small.resize((64, 64), Image.Resampling.BICUBIC)


def load_photo(name: str) -> np.ndarray:
    """Return a bundled photograph as uint8 [H W 3]."""
    import skimage.data
    import sklearn.datasets

    if name in ("china", "flower"):
        return sklearn.datasets.load_sample_image(f"{name}.jpg")
    photo = getattr(skimage.data, name)()
    photo = photo[0] if isinstance(photo, tuple) else photo  # a stereo pair: its left picture
    return photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)


def cut_band(photo: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    """Return the columns of a photograph between two shares of its width."""
    first, last = (round(share * photo.shape[1]) for share in band)
    return photo[:, first:last]


def encode(pixels: np.ndarray, encoding: str) -> io.BytesIO:
    """Return encoded bytes: TFDS encodes arrays with TensorFlow, but takes bytes as they are."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, encoding, **({"quality": 92} if encoding == "jpeg" else {}))
    buffer.seek(0)
    return buffer
