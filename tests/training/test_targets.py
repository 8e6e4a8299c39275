"""What labels ask for, and how many answers are right: against plain loops."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from castream_jax.data.classes.label_sets import PRESENT
from castream_jax.training.losses import label_loss
from castream_jax.training.targets import make_targets, share_right

ROWS = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 2, 1, 0]], np.uint8)
LOGITS = np.array([[2.0, -1, 0.5, 0.1], [-1, -2, -3, -0.5], [1, 2, -1, 3], [0.2, 1, 4, -3]], np.float32)


def test_single_labels_are_as_ever():
    labels = jnp.array([2, 0, 3])
    expected = optax.smooth_labels(jnp.eye(4)[labels], 0.1)
    np.testing.assert_array_equal(make_targets(labels, 4, 0.1), expected)
    assert share_right(jnp.asarray(LOGITS[:3]), jnp.array([0, 3, 1])) == np.float32(2 / 3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_each_class_is_a_question_of_two_answers(smoothing):
    targets = make_targets(jnp.asarray(ROWS), 4, smoothing)
    expected = np.where(ROWS == PRESENT, 1 - smoothing / 2, smoothing / 2)
    np.testing.assert_allclose(targets, expected, atol=1e-7)
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    plain = -(expected * np.log(p) + (1 - expected) * np.log(1 - p)).sum(1).mean()
    np.testing.assert_allclose(label_loss(jnp.asarray(LOGITS), targets, "sigmoid"), plain, rtol=1e-6)


def test_right_answers_of_several_labels():
    right = sum((LOGITS[i, k] > 0) == (ROWS[i, k] == PRESENT) for i in range(4) for k in range(4))
    assert share_right(jnp.asarray(LOGITS), jnp.asarray(ROWS)) == right / 16
