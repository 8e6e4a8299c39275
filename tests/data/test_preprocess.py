"""From files to squares."""

import io

import numpy as np
import pytest
from PIL import Image

from castream_jax.data import preprocess


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P"])
def test_every_colour_mode_becomes_rgb(mode):
    buffer = io.BytesIO()
    picture(8, 6, mode).save(buffer, "TIFF")
    decoded = preprocess.decode(buffer.getvalue())
    assert decoded.mode == "RGB"
    assert decoded.size == (8, 6)


@pytest.mark.parametrize("size", [(50, 80), (80, 50), (33, 33), (10, 300)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_evaluation_resizes_give_the_square(size, resize):
    assert preprocess.RESIZES[resize](picture(*size), 32).size == (32, 32)


def test_crop_is_torchvisions():
    """Shorter side 256 of 224, then the centre: of a 512x256 picture, columns 144 to 368 and rows 16 to 240."""
    image = picture(512, 256)
    expected = np.asarray(image)[16:240, 144:368]
    np.testing.assert_array_equal(np.asarray(preprocess.resize_and_crop(image, 224)), expected)


def test_random_crop_keeps_its_bounds():
    rng = np.random.default_rng(1)
    left = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    spans = []
    for _ in range(50):
        pixels = np.asarray(preprocess.random_resized_crop(left, 20, 0.25, rng))
        assert pixels.shape == (20, 20, 3)
        spans.append(int(pixels.max()) - int(pixels.min()))
    assert min(spans) < 100 < max(spans)  # crops of many sizes
    whole = np.asarray(preprocess.random_resized_crop(picture(40, 40), 40, 1.0, np.random.default_rng(0)))
    assert whole.shape == (40, 40, 3)


def test_brightness_scales_every_pixel_alike():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    found = {int(preprocess.jitter_brightness(pixels, 0.4, np.random.default_rng(i))[0, 0, 0]) for i in range(50)}
    assert min(found) >= 60
    assert max(found) <= 140
    assert max(found) - min(found) > 40
