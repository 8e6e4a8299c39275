"""Finer-CAM: Grad-CAM of a difference of logits, the similar classes found by their logits."""

import jax.numpy as jnp
import numpy as np

from castream_jax.attribution.finer_cam import FINER_CAM, contrast
from tests.attribution.toy import LABELS, A, ca_head, check_batches, check_dead_channels, differentiate, sums_of


def test_its_formula():
    y = ca_head(A, np)
    nearest = [
        sorted((k for k in range(5) if k != label), key=lambda k, i=i, label=label: abs(y[i, k] - y[i, label]))[:3]
        for i, label in enumerate(LABELS)
    ]

    def finer(a):
        logits = ca_head(a, np)
        return np.array(
            [logits[i, label] - 0.6 * logits[i, nearest[i]].mean() for i, label in enumerate(LABELS)], np.float64
        )

    weights = differentiate(finer, A).mean((1, 2))
    found = sums_of(FINER_CAM, ca_head, A)
    np.testing.assert_allclose(found, np.einsum("bhwc,bc->bhw", A, weights), atol=2e-5)


def test_of_two_classes_the_other_one_is_similar():
    np.testing.assert_allclose(contrast(jnp.asarray([[1.0, 5.0]]), jnp.asarray([0])), [[1.0, -0.6]], atol=1e-7)
    np.testing.assert_array_equal(contrast(jnp.asarray([[1.0]]), jnp.asarray([0])), [[1.0]])


def test_equal_logits_are_no_reason_to_take_the_class_itself():
    found = np.asarray(contrast(jnp.zeros((1, 6)), jnp.asarray([2])))
    assert found[0, 2] == 1
    np.testing.assert_allclose(sorted(found[0]), [-0.2, -0.2, -0.2, 0, 0, 1], atol=1e-7)


def test_dead_channels_and_batches():
    check_dead_channels(FINER_CAM, ca_head)
    check_batches(FINER_CAM, ca_head)
