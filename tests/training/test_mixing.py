"""Mixup and cutmix in pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.training.mixing import mix_pairs, random_rectangle, swap_pairs

IMAGES = jnp.arange(4.0)[:, None, None, None] * jnp.ones((4, 8, 12, 3))
TARGETS = jnp.eye(4)


def test_pairs_are_swapped():
    np.testing.assert_array_equal(swap_pairs(jnp.arange(6.0)), [1, 0, 3, 2, 5, 4])


@pytest.mark.parametrize("seed", range(5))
def test_mixup_mixes_images_as_it_mixes_targets(seed):
    images, targets = mix_pairs(jax.random.key(seed), IMAGES, TARGETS, 0.5, 0.0)
    own = float(targets[0, 0])
    assert 0 <= own <= 1
    expected = own * IMAGES + (1 - own) * swap_pairs(IMAGES)
    np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_allclose(targets, own * TARGETS + (1 - own) * swap_pairs(TARGETS), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_pastes_a_rectangle_and_counts_its_pixels(seed):
    images, targets = mix_pairs(jax.random.key(seed), IMAGES, TARGETS, 0.0, 1.0)
    own = np.asarray(images == IMAGES).all(-1)
    other = np.asarray(images == swap_pairs(IMAGES)).all(-1)
    assert (own ^ other).all()
    np.testing.assert_allclose(own.mean((1, 2)), np.diag(targets), atol=1e-6)
    rows, columns = other[0].any(1), other[0].any(0)
    np.testing.assert_array_equal(other[0], rows[:, None] & columns[None, :])
    assert np.abs(np.diff(rows.astype(int))).sum() <= 2


def test_with_both_each_batch_takes_one():
    cut = 0
    for seed in range(40):
        images, _ = mix_pairs(jax.random.key(seed), IMAGES, TARGETS, 0.5, 1.0)
        cut += bool(np.isin(np.asarray(images[0, ..., 0]), [0.0, 1.0]).all())
    assert 8 < cut < 32


def test_rectangles_have_the_area_asked_for_unless_clipped():
    areas = [float(random_rectangle(jax.random.key(seed), 64, 64, jnp.float32(0.25)).mean()) for seed in range(50)]
    assert max(areas) == pytest.approx(0.25, abs=0.02)
    assert min(areas) > 0.05


def test_shares_follow_the_beta_distribution():
    shares = [float(mix_pairs(jax.random.key(i), IMAGES[:2], TARGETS[:2, :2], 0.2, 0.0)[1][0, 0]) for i in range(300)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
    assert np.var(shares) == pytest.approx(0.25 / 1.4, abs=0.03)  # 1 / (4 (2 alpha + 1))
