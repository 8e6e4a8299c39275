"""Symmetric, most and least relevance gain, the reverse order, and insertion minus deletion: a plain loop in numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.metrics.curves import SEED
from castream_jax.metrics.protocol import PROTOCOLS
from tests.goldens import assert_close
from tests.metrics.cases import COLUMNS, HEIGHT, IMAGES, RNG, WIDTH, descending, erase, measure, probabilities

SYMBOLS = ("D", "I", "I-D", "LIF", "SRG", "MRG", "LRG")
MAPS = np.concatenate([RNG.integers(0, 5, (3, HEIGHT, WIDTH)) / 4, np.zeros((1, HEIGHT, WIDTH))]).astype(np.float32)
OF, INDICES = [1, 0, 1, 0], [7, 3]
PROTOCOL = dataclasses.replace(PROTOCOLS["rise"], step_rows=5)  # 120 pixels: steps of 50, the last is short


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    return measure(SYMBOLS, MAPS, OF, PROTOCOL, indices=jnp.asarray(INDICES))[0]


def plain_curve(i: int, order: np.ndarray) -> np.ndarray:
    """Return the probability of both classes while an image is erased in an order, [points Q]."""
    images = [erase(IMAGES[i], order[:count]) for count in (0, 50, 100, 120)]
    return probabilities(np.stack(images))[:, COLUMNS[i]]


def plain_area(i: int, order: np.ndarray) -> np.ndarray:
    return np.trapezoid(plain_curve(i, order), dx=1 / 3, axis=0)


def random_order(i: int) -> np.ndarray:
    """Return the pixels of an image in the order that its place in the dataset draws."""
    key = jax.random.fold_in(jax.random.key(SEED), INDICES[i])
    return np.argsort(np.asarray(jax.random.permutation(key, HEIGHT * WIDTH)))


def test_they_are_differences_of_areas(found):
    for j, (saliency, i) in enumerate(zip(MAPS, OF, strict=True)):
        most = plain_area(i, descending(saliency))
        least = plain_area(i, descending(saliency)[::-1])
        random = plain_area(i, random_order(i))
        assert_close(found["deletion"][j], most, absolute=1e-5)
        assert_close(found["reverse_deletion"][j], least, absolute=1e-5)
        assert_close(found["symmetric_relevance_gain"][j], least - most, absolute=1e-5)
        assert_close(found["most_relevance_gain"][j], random - most, absolute=1e-5)
        assert_close(found["least_relevance_gain"][j], least - random, absolute=1e-5)
        curve = plain_curve(i, descending(saliency)[::-1]).T
        assert_close(found["reverse_deletion_curve"][j], curve, absolute=1e-5)
    assert (found["symmetric_relevance_gain"] < 0).any()  # it is signed


def test_the_symmetric_gain_is_the_sum_of_both(found):
    both = found["most_relevance_gain"] + found["least_relevance_gain"]
    assert_close(found["symmetric_relevance_gain"], both, absolute=1e-6)


def test_insertion_minus_deletion(found):
    assert_close(found["insertion_minus_deletion"], found["insertion"] - found["deletion"], absolute=1e-6)


def test_a_reversed_map_has_the_opposite_gain():
    """Where nothing ties."""
    saliency = RNG.permutation(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH) / (HEIGHT * WIDTH)
    maps = np.concatenate([saliency, 1 - saliency])
    gain = measure(["SRG"], maps, [0, 0], PROTOCOL)[0]["symmetric_relevance_gain"]
    assert_close(gain[0], -gain[1], absolute=1e-6)
    assert np.abs(gain).min() > 1e-3


def test_an_image_s_random_order_does_not_depend_on_the_batch(found):
    alone = measure(["MRG", "LRG"], MAPS[1:2], [0], PROTOCOL, IMAGES[:1], indices=jnp.asarray(INDICES[:1]))[0]
    for name in ("most_relevance_gain", "least_relevance_gain"):
        assert_close(alone[name][0], found[name][1], absolute=1e-6)


def test_deletion_s_curve_is_asked_once():
    """And the random one once for each image, whatever its maps."""
    inner = {"map": 0, "image": 0}
    for one in measure(SYMBOLS, MAPS, OF, PROTOCOL)[1]:
        if one.question.count % 2 == 0 and one.question.key[0] in ("most first", "least first", "at random"):
            inner[one.question.share] += one.question.count
    assert inner == {"map": 3 * 4 * 2, "image": 2 * 2}  # insertion, deletion, the reverse; two points each
