"""RISE: its masks, its mean, and how sure it is, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.attribution.rise import KEPT, RISE, add_up, draw_masks, rise
from tests.attribution.toy import CLASSES, IMAGES, attribute, hide, min_max, probabilities

pytestmark = pytest.mark.slow

COUNT = 12
MASKS = np.asarray(draw_masks(jnp.arange(COUNT), (8, 8)), np.float64)


def test_its_formula():
    p = np.stack([probabilities(hide(IMAGES, np.stack([m, m])))[np.arange(2), CLASSES] for m in MASKS], 1)
    expected = np.einsum("bn,nhw->bhw", p, MASKS) / COUNT / KEPT
    np.testing.assert_allclose(attribute(rise(COUNT)), min_max(expected), atol=1e-4)


def test_its_error_is_that_of_a_mean():
    scores = np.random.default_rng(0).random((2, COUNT, 3))
    found = add_up(jnp.asarray(scores, jnp.float32), (8, 8))
    samples = np.einsum("bnq,nhw->bqnhw", scores, MASKS) / KEPT
    maps = samples.mean(2)
    error = samples.std(2, ddof=1) / np.sqrt(COUNT)
    share = np.sqrt((error**2).mean((-2, -1))) / np.ptp(maps, axis=(-2, -1))
    np.testing.assert_allclose(np.moveaxis(np.asarray(found.maps), -1, 1), maps, atol=1e-5)
    np.testing.assert_allclose(found.error, share, rtol=1e-4)


def test_masks_are_grids_that_are_interpolated_and_shifted():
    size = (30, 50)
    cells = [-(-length // 7) for length in size]
    for number in range(4):
        key, *shifts = jax.random.split(jax.random.fold_in(jax.random.key(0), number), 3)
        grid = jax.random.bernoulli(key, 0.5, (7, 7)).astype(jnp.float32)
        large = jax.image.resize(grid, [8 * cell for cell in cells], "bilinear", antialias=False)
        row, column = (int(jax.random.randint(shift, (), 0, cell)) for shift, cell in zip(shifts, cells))
        expected = large[row : row + size[0], column : column + size[1]]
        np.testing.assert_allclose(draw_masks(jnp.asarray([number]), size)[0], expected, atol=1e-6)


def test_masks_are_in_range_and_keep_half():
    masks = np.asarray(draw_masks(jnp.arange(500), (28, 28)))
    assert 0 <= masks.min() < 0.01 < 0.99 < masks.max() <= 1 + 1e-6
    np.testing.assert_allclose(masks.mean(), KEPT, atol=0.01)


def test_a_score_that_does_not_change_gives_no_error_of_a_flat_map():
    found = add_up(jnp.zeros((1, COUNT, 1)), (8, 8))
    np.testing.assert_array_equal(found.error, [[0]])
    np.testing.assert_array_equal(found.maps, np.zeros((1, 8, 8, 1)))


def test_an_image_s_map_is_its_own():
    np.testing.assert_allclose(attribute(rise(5), IMAGES[1:], CLASSES[1:])[0], attribute(rise(5))[1], atol=1e-5)


def test_its_number_of_masks_is_hashed_and_checked():
    assert rise(COUNT).hash != RISE.hash
    with pytest.raises(InputError, match="rise_masks is 0"):
        rise(0)
    assert "20 % in the worst" in RISE.remark({"rise_error": np.array([0.1, 0.2])})
