"""The certificate: never below what the unknown weights can do, and no larger than needed."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.attribution.certificate import certify
from tests.goldens import assert_close

RNG = np.random.default_rng(3)


def draw(negative: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return channels [2 3 4 6], weights [2 6 2] and what is known of them [2 6]."""
    channels = RNG.standard_normal((2, 3, 4, 6)) * RNG.lognormal(0, 1, 6)
    known = np.array([[True, False, True, True, False, True], [True, True, False, True, True, True]])
    return channels if negative else np.abs(channels), RNG.random((2, 6, 2)), known


def find(channels: np.ndarray, weights: np.ndarray, known: np.ndarray) -> np.ndarray:
    arrays = (jnp.asarray(array, jnp.float32) for array in (channels, np.where(known[..., None], weights, 0)))
    return np.asarray(certify(*arrays, jnp.asarray(known)))


def maps_of(channels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.maximum(np.einsum("bhwc,bcs->bshw", channels, weights), 0)


@pytest.mark.parametrize("negative", [False, True])
def test_no_weights_in_0_to_1_leave_the_bound(negative):
    channels, weights, known = draw(negative)
    bound = find(channels, weights, known)
    base = maps_of(channels, np.where(known[..., None], weights, 0))
    worst, lowest = np.zeros_like(bound), np.full_like(bound, np.inf)
    for corner in itertools.product((0.0, 1.0), repeat=6):
        guess = np.where(known[..., None], weights, np.array(corner)[None, :, None])
        maps = maps_of(channels, guess)
        error = np.abs(maps - base).max((2, 3))
        assert (error <= bound * maps.max((2, 3)) + 1e-6).all()
        worst, lowest = np.maximum(worst, error), np.minimum(lowest, maps.max((2, 3)))
    for _ in range(200):
        maps = maps_of(channels, np.where(known[..., None], weights, RNG.random((2, 6, 2))))
        assert (np.abs(maps - base).max((2, 3)) <= bound * maps.max((2, 3)) + 1e-6).all()
    # No larger than needed: the error is reached by some weights; so is the smallest maximum, if nothing is negative.
    if not negative:
        assert_close(bound, worst / lowest, relative=1e-5)


def test_never_more_than_the_sum_of_what_is_unknown():
    channels, weights, known = draw(True)
    bound = find(channels, weights, known)
    rest = np.abs(channels * ~known[:, None, None]).sum(-1).max((1, 2))[:, None]  # [B 1]
    below = np.maximum(-channels, 0) * ~known[:, None, None]
    found = np.einsum("bhwc,bcs->bshw", channels, np.where(known[..., None], weights, 0))
    largest = np.maximum(found - below.sum(-1)[:, None], 0).max((2, 3))
    assert (bound * largest <= rest + 1e-6).all()


def test_nothing_unknown_is_exact():
    channels, weights, known = draw(True)
    np.testing.assert_array_equal(find(channels, weights, np.ones_like(known)), np.zeros((2, 2)))


def test_what_relu_cuts_off_does_not_count():
    """One position, -3 for certain; what is unknown moves it between -4 and -1, and the map stays zero there."""
    channels = np.array([-3.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
    known = np.array([[True, False, False]])
    np.testing.assert_array_equal(find(channels, np.ones((1, 3, 1)), known), [[0.0]])
    two = np.concatenate([channels, np.array([4.0, 2.0, -1.0]).reshape(1, 1, 1, 3)], axis=1)
    assert_close(find(two, np.ones((1, 3, 1)), known), [[2 / 3]], absolute=1e-6)  # 4 - 1 to 4 + 2


def test_no_positive_maximum_certifies_nothing():
    channels, known = np.ones((1, 1, 1, 2)), np.array([[True, False]])
    assert find(channels, np.zeros((1, 2, 1)), known) == np.inf
