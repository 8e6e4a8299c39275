"""ShapleyCAM: its formula, the curvature by differences of gradients."""

import numpy as np

from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.shapley_cam import SHAPLEY_CAM
from tests.attribution.toy import (
    LABELS,
    MIX,
    A,
    ca_head,
    check_batches,
    check_dead_channels,
    curved_head,
    differentiate,
    logit,
    sums_of,
)


def test_its_formula():
    def along(share):
        return differentiate(logit(curved_head), A * (1 + share))

    curved = (along(1e-4) - along(-1e-4)) / 2e-4
    weights = (along(0) - curved / 2).mean((1, 2))
    found = sums_of(SHAPLEY_CAM, curved_head, A)
    np.testing.assert_allclose(found, np.einsum("bhwc,bc->bhw", A, weights), atol=1e-4)
    assert np.abs(found - sums_of(GRAD_CAM, curved_head, A)).max() > 0.01


def test_behind_an_attention_and_a_linear_layer_it_is_grad_cam():
    """What is added to all positions alike changes no attention: the mean gradient is the linear layer's, whatever A.

    So a stream's last block in front of a linear classifier leaves nothing for the curvature to correct.
    """
    np.testing.assert_allclose(differentiate(logit(ca_head), A).mean((1, 2)), MIX.T[LABELS] / 20, atol=1e-8)
    np.testing.assert_allclose(sums_of(SHAPLEY_CAM, ca_head, A), sums_of(GRAD_CAM, ca_head, A), atol=1e-6)


def test_dead_channels_and_batches():
    check_dead_channels(SHAPLEY_CAM, curved_head)
    check_batches(SHAPLEY_CAM, curved_head)
