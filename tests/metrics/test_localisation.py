"""Pointing games and mask IoU: examples by hand, numpy's arithmetic, flat maps, and images without an object."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.metrics.energy_pointing_game import energy_pointing_game
from castream_jax.metrics.overlap_best import THRESHOLDS, best_mask_iou
from castream_jax.metrics.overlap_fixed import mask_iou
from castream_jax.metrics.pointing_game import pointing_game
from tests.goldens import assert_close

pytestmark = pytest.mark.slow

METRICS = (pointing_game, energy_pointing_game, mask_iou, best_mask_iou)
RNG = np.random.default_rng(5)


def only(metric, rows: list[list[float]], truth: list[list[int]], **options) -> float:
    """Return the metric of one map."""
    (found,) = metric(jnp.asarray([rows], jnp.float32), jnp.asarray([truth], bool), **options)
    return float(found)


def test_pointing_game():
    truth = [[1, 0, 0], [1, 0, 0]]
    assert only(pointing_game, [[0.2, 0.9, 0.0], [1.0, 0.3, 0.0]], truth) == 1
    assert only(pointing_game, [[0.2, 1.0, 0.0], [0.9, 0.3, 0.0]], truth) == 0


def test_tied_positions_share_a_point():
    truth = [[1, 0, 0], [1, 0, 0]]
    assert only(pointing_game, [[1.0, 1.0, 0.0], [0.5, 0.3, 1.0]], truth) == pytest.approx(1 / 3)
    assert only(pointing_game, [[1.0, 1.0, 0.0], [1.0, 0.3, 1.0]], truth) == 0.5


def test_energy_pointing_game():
    assert only(energy_pointing_game, [[0.5, 0.25, 0.0], [1.0, 0.0, 0.25]], [[1, 1, 0], [0, 0, 0]]) == 0.375


def test_mask_iou_at_half():
    rows, truth = [[0.5, 0.25, 0.75], [1.0, 0.0, 0.25]], [[1, 1, 0], [0, 0, 0]]
    assert only(mask_iou, rows, truth) == 1 / 4  # 0.5, 0.75 and 1 against two pixels, one in common
    assert only(mask_iou, rows, truth, threshold=0.2) == pytest.approx(2 / 5)
    assert only(mask_iou, rows, truth, threshold=0.8) == 0


def test_the_best_threshold():
    rows = [[0.4, 0.37, 0.1], [0.0, 0.33, 0.2]]
    assert only(best_mask_iou, rows, [[1, 1, 0], [0, 0, 0]]) == 1  # 0.35 separates them
    assert only(best_mask_iou, rows, [[1, 1, 0], [0, 0, 1]]) == pytest.approx(3 / 4)
    assert THRESHOLDS[0] == 0.05
    assert THRESHOLDS[-1] == 0.95
    assert 0.5 in THRESHOLDS


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_map_points_by_chance(value):
    maps, truth = jnp.full((3, 4, 5), value), jnp.asarray(RNG.random((3, 4, 5)) < [[[0.2]], [[0.5]], [[0.8]]])
    area = np.asarray(truth).mean((1, 2))
    assert_close(pointing_game(maps, truth), area, absolute=1e-6)
    assert_close(energy_pointing_game(maps, truth), area, absolute=1e-6)
    assert_close(best_mask_iou(maps, truth), area if value else 0 * area, absolute=1e-6)


def test_the_object_everywhere_and_the_perfect_map():
    maps, truth = jnp.asarray(RNG.random((6, 7, 5)), jnp.float32), jnp.asarray(RNG.random((6, 7, 5)) < 0.3)
    for metric in METRICS:
        assert_close(metric(truth.astype(jnp.float32), truth), np.ones(6), absolute=0)
    for metric in (pointing_game, energy_pointing_game):
        assert_close(metric(maps, jnp.ones_like(truth)), np.ones(6), absolute=0)


def test_no_object_no_number():
    truth = jnp.zeros((2, 4, 4), bool).at[1, 0, 0].set(True)
    for maps in (jnp.zeros((2, 4, 4)), jnp.ones((2, 4, 4)) / 2):
        for metric in METRICS:
            np.testing.assert_array_equal(np.isnan(metric(maps, truth)), [True, False])


def test_numpy_s_arithmetic_on_many_maps():
    """Compiled, once for all maps of one shape."""
    traces: list[int] = []

    @jax.jit
    def run(maps: jax.Array, truth: jax.Array) -> list[jax.Array]:
        traces.append(1)
        return [metric(maps, truth) for metric in METRICS]

    for _ in range(2):
        maps = np.round(RNG.random((16, 24, 20)), 2).astype(np.float32)  # with ties
        truth = RNG.random((16, 24, 20)) < RNG.random((16, 1, 1))
        truth[:, 3, 4] = True
        found = run(jnp.asarray(maps), jnp.asarray(truth))
        assert all(values.shape == (16,) and values.dtype == jnp.float32 for values in found)
        largest = maps == maps.max((1, 2), keepdims=True)
        assert_close(found[0], (largest & truth).sum((1, 2)) / largest.sum((1, 2)), absolute=1e-6)
        wide = maps.astype(np.float64)
        assert_close(found[1], (wide * truth).sum((1, 2)) / wide.sum((1, 2)), absolute=1e-6)
        ious = [
            ((maps >= threshold) & truth).sum((1, 2)) / ((maps >= threshold) | truth).sum((1, 2))
            for threshold in np.float32(THRESHOLDS)
        ]
        assert_close(found[2], ious[THRESHOLDS.index(0.5)], absolute=1e-6)
        assert_close(found[3], np.max(ious, axis=0), absolute=1e-6)
    assert len(traces) == 1
