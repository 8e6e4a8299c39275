"""Ablation-CAM: its formula, a channel at a time, and its closed form behind one linear layer."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.attribution.ablation_cam import ABLATION_CAM, TOGETHER, ablation_weights
from tests.attribution.toy import (
    LABELS,
    MIX,
    RNG,
    SIGNED,
    A,
    ca_head,
    check_batches,
    check_dead_channels,
    gap_head,
    logit,
    sums_of,
)


@pytest.mark.parametrize("a", [A, SIGNED], ids=["positive", "signed"])
def test_its_formula(a):
    weights = np.stack([logit(ca_head)(a) - logit(ca_head)(np.where(np.arange(6) == k, 0, a)) for k in range(6)], 1)
    found = sums_of(ABLATION_CAM, ca_head, a)
    np.testing.assert_allclose(found, np.einsum("bhwc,bc->bhw", a, weights), atol=1e-5)


def test_behind_one_linear_layer_its_weights_are_known_without_a_pass():
    weights = ablation_weights(gap_head, jnp.asarray(A, jnp.float32), jnp.asarray(LABELS))
    np.testing.assert_allclose(weights, MIX.T[LABELS] * A.mean((1, 2)), atol=1e-6)


def test_channels_that_fill_no_whole_group_are_left_out_one_by_one():
    channels = 2 * TOGETHER + 3
    a, mix = RNG.random((2, 2, 2, channels)), RNG.standard_normal((channels, 5))
    weights = ablation_weights(lambda a: a.mean((1, 2)) @ mix, jnp.asarray(a), jnp.asarray([1, 4]))
    np.testing.assert_allclose(weights, mix.T[[1, 4]] * a.mean((1, 2)), atol=1e-5)


def test_a_negative_logit_does_not_turn_the_map_round():
    """The paper's quotient would: of a logit below 0 the channels that raise it most became the least."""
    low = sums_of(ABLATION_CAM, lambda a: gap_head(a) - 100, A)
    np.testing.assert_allclose(low, sums_of(ABLATION_CAM, gap_head, A), atol=1e-3)


def test_dead_channels_and_batches():
    check_dead_channels(ABLATION_CAM, ca_head)
    check_batches(ABLATION_CAM, ca_head)
