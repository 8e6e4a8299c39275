"""Rank and box accuracy: numpy's sort and scipy's labels, ties, flat maps, images without an object, thresholds."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from castream_jax.metrics.box_accuracy import COLUMNS, OVERLAPS, box_ious, join, settle
from castream_jax.metrics.overlap_best import THRESHOLDS
from castream_jax.metrics.rank_accuracy import rank_accuracy
from tests.goldens import assert_close
from tests.metrics.cases import HEIGHT, WIDTH, measure

RNG = np.random.default_rng(8)
BOTH = jax.jit(lambda maps, truth: (rank_accuracy(maps, truth), box_ious(maps, truth)))


def plain_ious(saliency: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return the best IoU of the truth's box with that of any labelled part, by threshold."""
    (target,) = scipy.ndimage.find_objects(truth.astype(int))
    found = []
    for threshold in np.float32(THRESHOLDS):
        parts, _ = scipy.ndimage.label(saliency >= threshold, np.ones((3, 3)))
        best = 0.0
        for box in scipy.ndimage.find_objects(parts):
            pixels = np.zeros((2, *truth.shape), bool)
            pixels[0][box], pixels[1][target] = True, True
            best = max(best, pixels.all(0).sum() / pixels.any(0).sum())
        found.append(best)
    return found


def test_numpy_and_scipy():
    maps = scipy.ndimage.gaussian_filter(RNG.random((12, 20, 17)), (0, 1.5, 1.5))
    maps = (maps - maps.min((1, 2), keepdims=True)) / np.ptp(maps, axis=(1, 2), keepdims=True)
    maps = np.round(maps, 2).astype(np.float32)  # with ties
    truth = np.zeros((12, 20, 17), bool)
    for i in range(12):
        top, left = RNG.integers(0, 12, 2)
        truth[i, top : top + 5, left : left + 4] = RNG.random((5, 4))[: 20 - top, : 17 - left] < 0.7
        truth[i, top, left] = True
    ranks, ious = BOTH(jnp.asarray(maps), jnp.asarray(truth))
    for i in range(12):
        n, values, on = truth[i].sum(), maps[i].reshape(-1), truth[i].reshape(-1)
        orders = [np.lexsort((RNG.random(values.size), -values)) for _ in range(2000)]  # ties at random
        assert abs(float(ranks[i]) - np.mean([on[order[:n]].mean() for order in orders])) < 0.02
        assert_close(ious[:, i], plain_ious(maps[i], truth[i]), absolute=1e-6)


def test_parts_hold_together_by_corners_and_around_them():
    """A spiral, one long path, and a pixel apart."""
    spiral = [
        "#########",
        "........#",
        "#######.#",
        "#.....#.#",
        "#.###.#.#",
        "#...#.#.#",
        "#####.#.#",
        "......#.#",
        "#.####..#",
    ]
    pixels = np.array([[letter == "#" for letter in row] for row in spiral])
    found = np.asarray(jax.jit(join)(jnp.asarray(pixels[None])))[:, 0]
    parts, count = scipy.ndimage.label(pixels, np.ones((3, 3)))
    assert count > 1
    for number, (rows, columns) in enumerate(scipy.ndimage.find_objects(parts), 1):
        expected = np.array([-rows.start, rows.stop - 1, -columns.start, columns.stop - 1])
        own = found[:, parts == number]
        np.testing.assert_array_equal(own, np.broadcast_to(expected[:, None], own.shape))


def test_the_perfect_map_flat_maps_and_no_object():
    truth = np.zeros((4, 8, 8), bool)
    truth[:3, 2:6, 3:5] = True
    maps = np.stack([truth[0], np.zeros((8, 8)), np.ones((8, 8)), truth[0]]).astype(np.float32)
    ranks, ious = BOTH(jnp.asarray(maps), jnp.asarray(truth))
    assert_close(ranks[:3], [1, 1 / 8, 1 / 8], absolute=1e-6)
    assert_close(ious.max(0)[:3], [1, 0, 1 / 8], absolute=1e-6)
    assert np.isnan(ranks[3])
    assert np.isnan(ious[:, 3]).all()


def test_box_accuracy_is_the_share_of_overlaps():
    truth = np.zeros((2, HEIGHT, WIDTH), bool)
    truth[0, 2:8, 2:6] = True
    maps = np.zeros((3, HEIGHT, WIDTH))
    maps[0, 2:8, 2:6] = maps[1, 4:8, 2:6] = maps[2, 2:8, 2:6] = 1  # IoU 1, 2/3, and no object
    found = measure(("MaxBoxAcc", "RRA"), maps, [0, 0, 1], truth=jnp.asarray(truth))[0]
    assert_close(found["max_box_accuracy"][:2, 1], [1, 2 / 3], absolute=1e-6)
    assert_close([found[name][1, 1] for name in COLUMNS], [2 / 3] * len(COLUMNS), absolute=1e-6)
    assert_close(found["rank_accuracy"][0], [1, 1], absolute=1e-6)
    assert np.isnan(found["max_box_accuracy"][2]).all()


def test_thresholds_are_those_of_all_images():
    """Image 0 is best at the first threshold, 1 and 2 at the second, where they reach 0.5; 3 has no object."""
    ious = np.zeros((len(COLUMNS), 4))
    ious[0] = [0.9, 0.4, 0.1, np.nan]
    ious[1] = [0.2, 0.6, 0.5, np.nan]
    ious[:, 3] = np.nan
    settled = settle(dict(zip(COLUMNS, ious)))
    # 0.3: images 0, 1 or images 1, 2, of which the first threshold is taken; 0.5: images 1, 2; 0.7: image 0
    assert_close(settled[:3], [2 / 3, 2 / 3, 1 / 3], absolute=1e-6)
    assert np.isnan(settled[3])


def test_the_mean_is_that_of_the_best_threshold_for_each_overlap():
    ious = np.float32(RNG.random((len(COLUMNS), 40)))
    settled = settle(dict(zip(COLUMNS, ious.astype(np.float64))))
    expected = [max((row >= np.float32(overlap)).mean() for row in ious) for overlap in OVERLAPS]
    assert_close(settled.mean(), np.mean(expected), absolute=1e-6)
    assert settled.mean() <= np.mean([(ious.max(0) >= overlap).mean() for overlap in OVERLAPS])
    assert np.isnan(settle(dict.fromkeys(COLUMNS, np.full(3, np.nan)))).all()
