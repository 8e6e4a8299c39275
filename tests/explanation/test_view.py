"""What the network sees of a picture, and the same part of it for people."""

import numpy as np
import pytest
from PIL import Image

from castream_jax.data.pictures.preprocess import Resize
from castream_jax.explanation import view
from castream_jax.explanation.view import prepare


def draw(width: int, height: int) -> Image.Image:
    """Return a picture that says where each pixel is."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8))


def test_a_squashed_picture_keeps_its_shape():
    found = prepare("a", draw(150, 20), Resize(24, "squash"))
    assert found.pixels.shape == (24, 24, 3)
    assert found.ratio == pytest.approx(20 / 150)
    np.testing.assert_array_equal(found.shown, np.asarray(draw(150, 20)))


def test_a_crop_shows_the_part_that_the_network_sees():
    """Of 60 x 40 pixels, 36 x 36 in the middle: the shorter side becomes 20, of which 18 are kept."""
    found = prepare("a", draw(60, 40), Resize(18, "crop", shorter_side=20))
    assert found.ratio == 1.0
    assert found.shown.shape == (36, 36, 3)
    np.testing.assert_array_equal(found.shown, np.asarray(draw(60, 40))[2:38, 12:48])
    np.testing.assert_allclose(found.pixels.mean((0, 1)), found.shown.mean((0, 1)), atol=0.6)


def test_a_large_picture_is_shown_smaller(monkeypatch):
    monkeypatch.setattr(view, "LARGEST", 50)
    assert prepare("a", draw(200, 100), Resize(24, "squash")).shown.shape == (25, 50, 3)
    assert prepare("a", draw(200, 1), Resize(24, "squash")).shown.shape == (1, 50, 3)
