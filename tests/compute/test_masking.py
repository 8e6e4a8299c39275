"""Masks: min-max, both conventions of bilinear interpolation, and the product in pixel space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.compute.masking import EPSILON, interpolation_matrix, mask_images, min_max, upsample
from tests import goldens
from tests.goldens import assert_close

SIZES = [(7, 224), (6, 199), (7, 200), (1, 5), (5, 5), (4, 1), (224, 96), (9, 4)]


def draw(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def test_min_max_scales_each_map_alone():
    maps = draw(2, 3, 4, 5)
    found = np.asarray(min_max(maps))
    assert (found.min((2, 3)) == 0).all()
    assert (found.max((2, 3)) == 1).all()
    one = np.asarray(maps[1, 2], np.float64)
    assert_close(found[1, 2], (one - one.min()) / (one.max() - one.min()), relative=1e-6)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e30])
def test_a_flat_map_becomes_zeros(value):
    np.testing.assert_array_equal(min_max(jnp.full((1, 3, 3), value)), np.zeros((1, 3, 3)))


def test_epsilon_is_the_reference_s():
    """A larger one would move maps whose range is small."""
    maps = jnp.asarray([[[0.0, 1e-9]]])
    assert_close(min_max(maps), [[[0.0, 1.0]]], absolute=1e-6)
    assert EPSILON == 2.2e-16


def allowance(size_in: int) -> float:
    """Return how far off JAX may be: it places its samples in float32, we in float64."""
    return 1e-6 + 2e-7 * size_in


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_interpolation_is_numpy_s(size_in, size_out, align_corners):
    line, outputs = np.random.default_rng(0).standard_normal(size_in), np.arange(size_out)
    if align_corners:
        places = outputs * (size_in - 1) / max(size_out - 1, 1)
    else:
        places = (outputs + 0.5) * size_in / size_out - 0.5
    expected = np.interp(places, np.arange(size_in), line)
    assert_close(interpolation_matrix(size_in, size_out, align_corners) @ line, expected, absolute=1e-6)


@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_half_pixel_centres_are_jax_s_resize(size_in, size_out):
    lines = draw(3, size_in)
    expected = jax.image.resize(lines, (3, size_out), "bilinear", antialias=False)
    found = lines @ interpolation_matrix(size_in, size_out, False).T
    assert_close(found, expected, absolute=allowance(size_in))


@pytest.mark.parametrize(("size_in", "size_out"), [(i, o) for i, o in SIZES if i > 1 and o > 1])
def test_aligned_corners_are_jax_s_scale_and_translate(size_in, size_out):
    lines = draw(3, size_in)
    scale = (size_out - 1) / (size_in - 1)
    expected = jax.image.scale_and_translate(
        lines,
        (3, size_out),
        (1,),
        jnp.asarray([scale], jnp.float32),
        jnp.asarray([0.5 - 0.5 * scale], jnp.float32),
        "linear",
        antialias=False,
    )
    found = lines @ interpolation_matrix(size_in, size_out, True).T
    assert_close(found, expected, absolute=allowance(size_in))
    assert_close(found[:, [0, -1]], lines[:, [0, -1]], absolute=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_every_row_of_the_matrix_is_a_mean_of_neighbours(align_corners):
    for size_in, size_out in SIZES:
        matrix = interpolation_matrix(size_in, size_out, align_corners)
        assert matrix.shape == (size_out, size_in)
        assert_close(matrix.sum(1), np.ones(size_out), absolute=1e-6)
        assert ((matrix > 0).sum(1) <= 2).all()


@pytest.mark.parametrize("align_corners", [False, True])
def test_maps_are_interpolated_along_both_sides(align_corners):
    maps = draw(2, 3, 7, 5)
    found = upsample(maps, (40, 33), align_corners)
    rows, columns = interpolation_matrix(7, 40, align_corners), interpolation_matrix(5, 33, align_corners)
    expected = rows.astype(np.float64) @ np.asarray(maps, np.float64) @ columns.T.astype(np.float64)
    assert_close(found, expected, absolute=1e-6)


def test_upsampling_to_the_same_size_changes_nothing():
    maps = draw(2, 24, 31)
    np.testing.assert_array_equal(upsample(maps, (24, 31)), maps)


def test_upsampling_is_jax_s_resize():
    maps = draw(2, 7, 7)
    expected = jax.image.resize(maps, (2, 224, 224), "bilinear", antialias=False)
    assert_close(upsample(maps, (224, 224)), expected, absolute=2e-6)


def test_masks_multiply_pixels():
    rng = np.random.default_rng(0)
    pixels, masks = rng.random((2, 4, 5, 3)), rng.random((2, 4, 5))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    images = jnp.asarray((pixels - mean) / std, jnp.float32)
    expected = (pixels * masks[..., None] - mean) / std
    assert_close(mask_images(images, jnp.asarray(masks, jnp.float32), mean, std), expected, absolute=1e-6)


def test_masks_are_the_reference_s():
    images = goldens.images()[:1]
    found = mask_images(images, jnp.full((1, 224, 224), 0.5), tuple(goldens.MEAN.tolist()), tuple(goldens.STD.tolist()))
    expected = goldens.read("inputs")["denorm_renorm_check"].transpose(0, 2, 3, 1)
    assert_close(found[:, 100:104, 100:104], expected, absolute=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_any_number_of_channels_are_masked(channels):
    rng = np.random.default_rng(0)
    pixels, masks = rng.random((2, 4, 6, channels)), rng.random((2, 4, 6))
    mean, std = tuple(rng.random(channels)), tuple(0.1 + rng.random(channels))
    images = jnp.asarray((pixels - np.array(mean)) / np.array(std), jnp.float32)
    found = mask_images(images, jnp.asarray(masks, jnp.float32), mean, std)
    np.testing.assert_allclose(found, (pixels * masks[..., None] - np.array(mean)) / np.array(std), atol=2e-5)


def test_a_silent_promotion_of_dtypes_fails_in_these_tests():
    with pytest.raises(jax.dtypes.TypePromotionError, match="no available implicit dtype promotion"):
        jnp.ones(1, jnp.bfloat16) + jnp.ones(1)
