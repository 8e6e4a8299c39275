"""Losses against the formulas, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.training.losses import distillation_loss, label_loss


def log_scores(logits, score):
    """Return the logarithms of each class's score, and of what is left of 1 where each class stands by itself."""
    if score == "sigmoid":
        return -np.log1p(np.exp(-logits)), -np.log1p(np.exp(logits))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True)), np.zeros_like(logits)


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_labels_are_a_negative_log_likelihood(score):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(4, 5)), rng.random((4, 5))
    right, wrong = log_scores(logits, score)
    expected = -(targets * right + (1 - targets) * wrong).sum(1).mean()
    np.testing.assert_allclose(label_loss(jnp.asarray(logits), jnp.asarray(targets), score), expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_distillation_is_a_divergence(score, temperature):
    rng = np.random.default_rng(1)
    logits, teacher = rng.normal(size=(2, 4, 5))
    right, wrong = log_scores(logits, score)
    taught, not_taught = log_scores(teacher / temperature, score)
    apart = np.exp(taught) * (taught - right)
    if score == "sigmoid":
        apart += np.exp(not_taught) * (not_taught - wrong)
    expected = apart.sum(1).mean()
    found = distillation_loss(jnp.asarray(logits), jnp.asarray(teacher), temperature, score)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    same = distillation_loss(jnp.asarray(teacher) / temperature, jnp.asarray(teacher), temperature, score)
    np.testing.assert_allclose(same, 0.0, atol=1e-6)


def test_the_teacher_learns_nothing():
    logits, teacher = np.random.default_rng(2).normal(size=(2, 3, 4)).astype(np.float32)
    own, its = jax.grad(distillation_loss, argnums=(0, 1))(jnp.asarray(logits), jnp.asarray(teacher), 2.0, "softmax")
    assert np.abs(own).max() > 0
    np.testing.assert_array_equal(its, 0)
