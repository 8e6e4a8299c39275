"""LayerCAM: its formula, and stages fused."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax import InputError
from castream_jax.attribution.layer_cam import LAYER_CAM, fuse, layer_cam
from tests.attribution.toy import (
    RNG,
    SIGNED,
    A,
    ca_head,
    check_batches,
    check_dead_channels,
    differentiate,
    logit,
    sums_of,
    upsample,
)


@pytest.mark.parametrize("a", [A, SIGNED], ids=["positive", "signed"])
def test_its_formula(a):
    expected = (np.maximum(differentiate(logit(ca_head), a), 0) * a).sum(-1)
    np.testing.assert_allclose(sums_of(LAYER_CAM, ca_head, a), expected, atol=2e-5)


def test_stages_are_fused_by_their_largest_share():
    late, early = RNG.random((2, 2, 3)), RNG.random((2, 4, 6)) / 1000
    late[0] = -1  # nothing positive there: the early stage alone
    found = fuse([jnp.asarray(late), jnp.asarray(early)])
    late[0] = 0
    late[1] /= late[1].max()
    expected = np.maximum(upsample(late, (4, 6)), np.tanh(2 * early / early.max((1, 2), keepdims=True)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_stages_are_hashed_counted_and_checked():
    assert len({LAYER_CAM.hash, layer_cam(2).hash, layer_cam(0).hash}) == 3
    assert (LAYER_CAM.through_trunk, layer_cam(2).through_trunk) == (0, 1)
    with pytest.raises(InputError, match="layer_cam_stages is -1"):
        layer_cam(-1)


def test_dead_channels_and_batches():
    check_dead_channels(LAYER_CAM, ca_head)
    check_batches(LAYER_CAM, ca_head)
