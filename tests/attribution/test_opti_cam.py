"""Opti-CAM: Adam written in float64, the best of its steps for each image, whatever its batch."""

import functools

import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.attribution.opti_cam import OPTI_CAM, opti_cam
from tests.attribution.toy import CLASSES, IMAGES, answer, attribute, differentiate, features, hide, min_max, upsample

STEPS = 8


def softmax(u: np.ndarray) -> np.ndarray:
    e = np.exp(u - u.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def mix(u: np.ndarray) -> np.ndarray:
    return np.einsum("bhwc,bc->bhw", np.maximum(features(IMAGES, np), 0), softmax(u))


def logits(u: np.ndarray) -> np.ndarray:
    seen = hide(IMAGES, min_max(upsample(mix(u), (8, 8))))
    return np.take_along_axis(answer(seen, np), CLASSES[:, None], axis=1)[:, 0]


@functools.cache
def optimise() -> tuple[np.ndarray, np.ndarray]:
    """Return every step's mixture and its logits."""
    u, first, second = np.full((2, 6), 0.5), 0, 0
    visited = []
    for step in range(STEPS):
        visited.append((u, logits(u)))
        g = differentiate(logits, u)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        mean, square = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        u = u + 0.1 * mean / (np.sqrt(square) + 1e-8)
    return np.stack([u for u, _ in visited]), np.stack([y for _, y in visited])


def test_it_is_the_best_of_its_steps():
    mixtures, found = optimise()
    best = found.argmax(0)
    assert (found.max(0) > found[0] + 0.01).all()
    expected = min_max(mix(mixtures[best, np.arange(2)]))
    np.testing.assert_allclose(attribute(opti_cam(STEPS)), expected, atol=1e-3)


def test_an_image_s_map_is_its_own():
    alone = attribute(opti_cam(STEPS), IMAGES[:1], CLASSES[:1])
    np.testing.assert_allclose(alone[0], attribute(opti_cam(STEPS))[0], atol=1e-4)


def test_steps_are_hashed_counted_and_checked():
    assert opti_cam(STEPS).hash != OPTI_CAM.hash
    assert (opti_cam(STEPS).through_trunk, OPTI_CAM.through_trunk) == (STEPS, 100)
    with pytest.raises(InputError, match="opti_cam_steps is 0"):
        opti_cam(0)
