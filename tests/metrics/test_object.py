"""Rank accuracy and box accuracy: numpy's sort and scipy's labels, ties, flat maps, images without an object."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from castream_jax.metrics.box_accuracy import best_box_iou, join
from castream_jax.metrics.overlap_best import THRESHOLDS
from castream_jax.metrics.rank_accuracy import rank_accuracy
from tests.goldens import assert_close
from tests.metrics.cases import HEIGHT, WIDTH, measure

RNG = np.random.default_rng(8)
BOTH = jax.jit(lambda maps, truth: (rank_accuracy(maps, truth), best_box_iou(maps, truth)))


def plain_iou(saliency: np.ndarray, truth: np.ndarray) -> float:
    """Return the best IoU of the truth's box with that of any labelled part at any threshold."""
    (target,) = scipy.ndimage.find_objects(truth.astype(int))
    best = 0.0
    for threshold in np.float32(THRESHOLDS):
        parts, _ = scipy.ndimage.label(saliency >= threshold, np.ones((3, 3)))
        for box in scipy.ndimage.find_objects(parts):
            pixels = np.zeros((2, *truth.shape), bool)
            pixels[0][box], pixels[1][target] = True, True
            best = max(best, pixels.all(0).sum() / pixels.any(0).sum())
    return best


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
        assert_close(ious[i], plain_iou(maps[i], truth[i]), absolute=1e-6)


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
    assert_close(ious[:3], [1, 0, 1 / 8], absolute=1e-6)
    assert np.isnan(ranks[3])
    assert np.isnan(ious[3])


def test_box_accuracy_is_the_share_of_overlaps():
    truth = np.zeros((2, HEIGHT, WIDTH), bool)
    truth[0, 2:8, 2:6] = True
    maps = np.zeros((3, HEIGHT, WIDTH))
    maps[0, 2:8, 2:6] = maps[1, 4:8, 2:6] = maps[2, 2:8, 2:6] = 1  # IoU 1, 2/3, and no object
    found = measure(("BoxAcc", "RRA"), maps, [0, 0, 1], truth=jnp.asarray(truth))[0]
    assert_close(found["box_accuracy"][:2, 1], [1, 2 / 3], absolute=1e-6)
    assert_close(found["rank_accuracy"][0], [1, 1], absolute=1e-6)
    assert np.isnan(found["box_accuracy"][2]).all()
