"""Null maps: in range, the same in every batch, and worth what their description says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.attribution.null_maps import NULL_MAPS, SEED, constant_map, fake_map, gaussian_map, random_maps
from castream_jax.compute.masking import mask_images, upsample
from castream_jax.metrics.average_drop import average_drop
from castream_jax.metrics.average_gain import average_gain
from tests.asking import set_scene
from tests.metrics.test_curves import pixel_ranks

pytestmark = pytest.mark.slow


def null_maps(indices, grid, size) -> dict[str, jax.Array]:
    scene = set_scene(jnp.zeros((len(indices), *size, 3)), jnp.zeros((len(indices), *grid, 2)))
    scene = dataclasses.replace(scene, indices=indices)
    return {key: null.draw(scene) for key, null in NULL_MAPS.items()}


@pytest.mark.parametrize(("grid", "size"), [((7, 7), (32, 32)), ((2, 3), (10, 16)), ((1, 1), (4, 4))])
def test_maps_are_in_range_at_the_images_size(grid, size):
    for name, maps in null_maps(jnp.arange(3), grid, size).items():
        assert maps.shape == (3, *size), name
        assert maps.dtype == jnp.float32
        assert 0 <= maps.min() <= maps.max() <= 1, name


def test_a_random_map_is_its_images_alone():
    whole = random_maps(jnp.arange(6), (7, 7), 3)
    np.testing.assert_array_equal(random_maps(jnp.array([4, 1]), (7, 7), 3), whole[jnp.array([4, 1])])
    np.testing.assert_array_equal(jax.jit(random_maps, static_argnums=(1, 2))(jnp.arange(6), (7, 7), 3), whole)
    assert len(np.unique(whole.reshape(6, -1), axis=0)) == 6
    assert not np.array_equal(random_maps(jnp.arange(6), (7, 7), 4), whole)


def test_a_random_map_is_the_same_on_every_device():
    mesh = jax.make_mesh((8,), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    compiled = jax.jit(random_maps, static_argnums=(1, 2))
    spread = compiled(jax.device_put(jnp.arange(16), sharding), (7, 7), 0)
    np.testing.assert_array_equal(spread, compiled(jnp.arange(16), (7, 7), 0))


def test_random_maps_are_uniform_and_span_the_range():
    maps = np.asarray(random_maps(jnp.arange(300), (7, 7), 0))
    assert (maps.min((1, 2)) == 0).all()
    np.testing.assert_allclose(maps.max((1, 2)), 1, rtol=1e-6)
    # 47 values between the least and the greatest: uniform, so of mean 1/2 and variance 1/12.
    inner = np.sort(maps.reshape(300, -1))[:, 1:-1]
    assert inner.mean() == pytest.approx(0.5, abs=0.01)
    assert inner.var() == pytest.approx(1 / 12, abs=0.003)


def test_the_random_map_is_as_coarse_as_attributions():
    drawn = null_maps(jnp.arange(2), (7, 7), (28, 28))["random"]
    np.testing.assert_allclose(drawn, upsample(random_maps(jnp.arange(2), (7, 7), SEED), (28, 28)), atol=1e-6)


def test_the_gaussian_is_centred_symmetric_and_follows_the_sides():
    for size in ((7, 7), (8, 12), (9, 4)):
        found = np.asarray(gaussian_map(size))
        np.testing.assert_allclose(found, found[::-1], atol=1e-6)
        np.testing.assert_allclose(found, found[:, ::-1], atol=1e-6)
        assert found.max() == pytest.approx(found[size[0] // 2, size[1] // 2])
        assert found[0, 0] == 0
    np.testing.assert_allclose(gaussian_map((8, 16))[:, ::2].mean(), gaussian_map((8, 8)).mean(), atol=0.02)


def test_constant_and_fake_differ_in_one_pixel():
    assert (constant_map((5, 6)) == 1).all()
    assert (fake_map((5, 6)) != constant_map((5, 6))).sum() == 1
    assert fake_map((5, 6))[0, 0] == 0


def test_fake_and_constant_have_the_same_order_of_pixels():
    found = null_maps(jnp.arange(1), (3, 3), (6, 8))
    np.testing.assert_array_equal(pixel_ranks(found["fake"]), pixel_ranks(found["constant"]))


def test_the_sum_of_channels_is_that_of_the_feature_map():
    feature_map = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2, 3, 4)), jnp.float32)
    drawn = NULL_MAPS["channel_sum"].draw(set_scene(jnp.zeros((2, 4, 6, 3)), feature_map))
    plain = np.maximum(np.asarray(feature_map, np.float64).sum(-1), 0)
    plain = (plain - plain.min((1, 2), keepdims=True)) / np.ptp(plain, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(drawn, upsample(jnp.asarray(plain, jnp.float32), (4, 6)), atol=1e-6)


def test_fake_fools_average_drop():
    """It loses nothing, as a good map would, though it says nothing; zeros instead of ones would lose everything."""
    images = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
    weights = jax.random.normal(jax.random.key(1), (16 * 16 * 3,)) / 20
    zeros, ones = (0.0,) * 3, (1.0,) * 3

    def score(images):
        return jax.nn.sigmoid(images.reshape(len(images), -1) @ weights + 1.0)

    p = score(images)
    maps = null_maps(jnp.arange(4), (4, 4), (16, 16))
    drops = {name: average_drop(p, score(mask_images(images, m, zeros, ones))).mean() for name, m in maps.items()}
    assert drops["fake"] < 0.02
    assert drops["fake"] < min(drops["random"], drops["gaussian"])
    assert drops["constant"] < 1e-6
    assert average_gain(p, score(mask_images(images, maps["constant"], zeros, ones))).max() < 1e-5
