"""Maps whose gradients run through the trunk, against differences of a network written in float64."""

import functools

import jax
import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.attribution import METHODS
from castream_jax.attribution.gradient_input import GRADIENT_INPUT
from castream_jax.attribution.integrated_gradients import INTEGRATED_GRADIENTS, integrated_gradients
from castream_jax.attribution.smooth_grad import SEED, SMOOTH_GRAD, SPREAD, smooth_grad
from tests.attribution.toy import CLASSES, IMAGES, LOW, STD, answer, attribute, differentiate, min_max


@functools.cache
def gradient_at(place: float) -> np.ndarray:
    """Return the gradient at a share of the way from black to the image."""
    return differentiate(logits, LOW + place * (IMAGES - LOW))


def logits(images) -> np.ndarray:
    return np.take_along_axis(answer(images, np), CLASSES[:, None], axis=1)[:, 0]


def test_gradient_times_input():
    expected = (IMAGES * gradient_at(1.0)).sum(-1)
    np.testing.assert_allclose(attribute(GRADIENT_INPUT), min_max(np.maximum(expected, 0)), atol=1e-4)


@pytest.mark.parametrize("steps", [4, 13])  # in one pass; in passes of which the last is not full
def test_integrated_gradients(steps):
    g = np.mean([gradient_at((step + 0.5) / steps) for step in range(steps)], axis=0)
    expected = ((IMAGES - LOW) * g).sum(-1)
    np.testing.assert_allclose(attribute(integrated_gradients(steps)), min_max(np.maximum(expected, 0)), atol=1e-4)
    change = logits(IMAGES) - logits(np.broadcast_to(LOW, IMAGES.shape))
    np.testing.assert_allclose(expected.sum((1, 2)), change, rtol=0.05)  # it adds up, but for the steps


def test_smooth_grad():
    total = np.zeros(IMAGES.shape)
    for sample in range(3):
        key = jax.random.fold_in(jax.random.key(SEED), sample)
        noise = np.asarray(jax.random.normal(key, IMAGES.shape[1:]), np.float64)
        total += differentiate(logits, IMAGES + SPREAD / STD * noise)
    np.testing.assert_allclose(attribute(smooth_grad(3)), min_max(np.abs(total / 3).sum(-1)), atol=1e-4)


@pytest.mark.parametrize(
    "method", [GRADIENT_INPUT, integrated_gradients(13), smooth_grad(3)], ids=lambda method: method.key
)
def test_an_image_s_map_is_its_own(method):
    alone = attribute(method, IMAGES[1:], CLASSES[1:])
    np.testing.assert_allclose(alone[0], attribute(method)[1], atol=1e-5)


def test_steps_are_hashed_counted_and_checked():
    assert INTEGRATED_GRADIENTS.hash != integrated_gradients(4).hash
    assert SMOOTH_GRAD.hash != smooth_grad(3).hash
    assert (integrated_gradients(4).through_trunk, smooth_grad(3).through_trunk) == (4, 3)
    with pytest.raises(InputError, match="integrated_gradients_steps is 0"):
        integrated_gradients(0)
    with pytest.raises(InputError, match="smooth_grad_samples is -1"):
        smooth_grad(-1)


def test_what_runs_through_the_trunk_says_so():
    through = {key for key, method in METHODS.items() if method.through_trunk}
    assert through == {"refine_cam", "gradient_input", "integrated_gradients", "smooth_grad", "opti_cam"}
