"""From pictures to squares: resizing and cropping as Pillow and arithmetic say."""

import io
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from castream_jax.data.pictures import preprocess
from castream_jax.data.pictures.decoding import MAX_PIXELS, decode
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.errors import InputError

SIZES = [(51, 80), (80, 51), (33, 33), (37, 41), (101, 67), (32, 32), (500, 375), (10, 300), (300, 7), (1, 5), (1, 1)]
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def pixels_of(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encode(image: Image.Image, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


# Squares


def expected_crop(image: Image.Image, size: int, shorter: int, resampling: Image.Resampling) -> np.ndarray:
    """Return the resized picture's centre, in whole numbers: longer side rounded down, offset halves to even."""
    width, height = image.size
    short = min(width, height)
    resized = np.asarray(image.resize((shorter * width // short, shorter * height // short), resampling))

    def first(side: int) -> int:
        half, odd = divmod(side - size, 2)
        return half + (odd and half % 2)

    top, left = first(resized.shape[0]), first(resized.shape[1])
    return resized[top : top + size, left : left + size]


def assert_near(found: Image.Image, expected: np.ndarray) -> None:
    assert found.size == expected.shape[1::-1]
    assert np.abs(np.asarray(found).astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("interpolation", "resampling"), [("bilinear", BILINEAR), ("bicubic", BICUBIC)])
def test_squares_are_pillows(size, interpolation, resampling):
    image = Image.fromarray(pixels_of(*size))
    squashed = Resize(32, "squash", interpolation)(image)
    assert_near(squashed, np.asarray(image.resize((32, 32), resampling)))
    for shorter_side, shorter in ((0, 37), (32, 32), (33, 33), (40, 40)):
        cropped = Resize(32, "crop", interpolation, shorter_side)(image)
        assert_near(cropped, expected_crop(image, 32, shorter, resampling))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "LA", "RGBA", "1"])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_files_of_every_mode_become_squares(mode, resize):
    stored = Image.fromarray(pixels_of(50, 71)).convert(mode)
    encoded = encode(stored, "TIFF" if mode == "CMYK" else "PNG")
    rgb = stored.convert("RGB")
    squashed = np.asarray(rgb.resize((32, 32), BILINEAR))
    expected = squashed if resize == "squash" else expected_crop(rgb, 32, 37, BILINEAR)
    assert_near(Resize(32, resize)(decode(encoded).image), expected)


def test_the_usual_crop():
    """Shorter side 256 of 224, then the centre: of a 512x256 picture, columns 144 to 368 and rows 16 to 240."""
    image = Image.fromarray(pixels_of(512, 256))
    np.testing.assert_array_equal(np.asarray(Resize(224, "crop")(image)), np.asarray(image)[16:240, 144:368])


@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 1), (3, 50_000)])
def test_a_crop_of_a_narrow_picture_fits_the_memory(size, monkeypatch):
    """Resized to the shorter side first, it would have billions of pixels."""
    image = Image.fromarray(pixels_of(*size))
    resize = Resize(32, "crop", shorter_side=40)
    width, height = resize._scaled(*size)
    assert width * height < MAX_PIXELS  # so here the usual way can be gone too
    expected = np.asarray(resize(image)).astype(int)
    monkeypatch.setattr(preprocess, "MAX_PIXELS", 10**6)
    found = np.asarray(resize(image)).astype(int)
    inner = (slice(2, -2), slice(2, -2))  # at the edges, what lies beyond is not seen
    assert np.abs(found - expected)[inner].max() <= 6
    monkeypatch.undo()
    assert resize(Image.fromarray(pixels_of(1, 1)).resize((1, 900_000))).size == (32, 32)  # 36 million rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "scale"}, "unknown resize mode 'scale'"),
        ({"interpolation": "bicubc"}, "Did you mean 'bicubic'"),
        ({"size": 0}, "is 0: expected 1 or more"),
        ({"mode": "crop", "shorter_side": 200}, "is 200: expected 0 .* or at least .* 224"),
    ],
)
def test_mistakes_are_named(arguments, said):
    """The check alone: under test, names of no mode do not get as far as that."""
    values = {"size": 224, "mode": "squash", "interpolation": "bilinear", "shorter_side": 0} | arguments
    with pytest.raises(InputError, match=said):
        Resize.__post_init__(SimpleNamespace(**values))


# Augmentation


def test_random_crop_keeps_its_bounds():
    rng = np.random.default_rng(1)
    left = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    spans = []
    for _ in range(50):
        pixels = np.asarray(preprocess.random_resized_crop(left, 20, 0.25, rng))
        assert pixels.shape == (20, 20, 3)
        spans.append(int(pixels.max()) - int(pixels.min()))
    assert min(spans) < 100 < max(spans)  # crops of many sizes
    whole = preprocess.random_resized_crop(Image.fromarray(pixels_of(40, 40)), 40, 1.0, np.random.default_rng(0))
    assert whole.size == (40, 40)


def test_random_crop_of_tiny_pictures():
    for seed, size in itertools.product(range(10), [(1, 1), (1, 9), (2, 1)]):
        found = preprocess.random_resized_crop(Image.fromarray(pixels_of(*size)), 8, 0.05, np.random.default_rng(seed))
        assert found.size == (8, 8)


def test_brightness_scales_every_pixel_alike():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    found = {int(preprocess.jitter_brightness(pixels, 0.4, np.random.default_rng(i))[0, 0, 0]) for i in range(50)}
    assert min(found) >= 60
    assert max(found) <= 140
    assert max(found) - min(found) > 40
