"""XGrad-CAM: its formula, dead channels, and activations of both signs."""

import numpy as np
import pytest

from castream_jax.attribution.xgrad_cam import XGRAD_CAM
from tests.attribution.toy import SIGNED, A, ca_head, check_batches, check_dead_channels, differentiate, logit, sums_of


@pytest.mark.parametrize("a", [A, SIGNED], ids=["positive", "signed"])
def test_its_formula(a):
    g = differentiate(logit(ca_head), a)
    weights = (g * a).sum((1, 2)) / np.abs(a).sum((1, 2))
    np.testing.assert_allclose(sums_of(XGRAD_CAM, ca_head, a), np.einsum("bhwc,bc->bhw", a, weights), atol=2e-5)


def test_a_channel_that_cancels_keeps_a_weight_within_its_gradient():
    """Divided by its sum, which is nearly 0, it would drown all others."""
    a = A.copy()
    a[..., 0] = np.where(np.arange(20).reshape(4, 5) % 2, 1.0, -1.0)
    a[..., 0, 0, 0] += 1e-6
    found, g = sums_of(XGRAD_CAM, ca_head, a), differentiate(logit(ca_head), a)
    assert (np.abs(found) <= (np.abs(g).max((1, 2))[:, None, None] * np.abs(a)).sum(-1) + 1e-5).all()


def test_dead_channels_and_batches():
    check_dead_channels(XGRAD_CAM, ca_head)
    check_batches(XGRAD_CAM, ca_head)
