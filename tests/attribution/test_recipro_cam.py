"""Recipro-CAM: a position at a time, under both masks, and its relation to CAM behind one linear layer."""

import numpy as np
import pytest

import castream_jax as ca
from castream_jax import InputError
from castream_jax.attribution.recipro_cam import RECIPRO_CAM, position_masks, recipro_cam
from tests.attribution.toy import (
    BIAS,
    LABELS,
    MEAN,
    MIX,
    SIGNED,
    STD,
    A,
    ca_head,
    features,
    gap_head,
    network,
    sums_of,
)

KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def softmax(y: np.ndarray) -> np.ndarray:
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("mask", ["one-hot", "gaussian"])
@pytest.mark.parametrize("a", [A, SIGNED], ids=["positive", "signed"])
def test_its_formula(a, mask):
    expected = np.zeros(a.shape[:3])
    for i, j in np.ndindex(4, 5):
        padded = np.zeros((6, 7))
        padded[i : i + 3, j : j + 3] = KERNEL if mask == "gaussian" else np.pad([[1]], 1)
        seen = a * padded[1:-1, 1:-1, None]
        expected[:, i, j] = softmax(ca_head(seen, np))[np.arange(3), LABELS]
    np.testing.assert_allclose(sums_of(recipro_cam(mask), ca_head, a, network=network()), expected, atol=1e-5)


def test_of_logits_behind_one_linear_layer_it_is_cam_but_for_scale_and_bias():
    cam = np.einsum("bhwc,bc->bhw", A, MIX.T[LABELS])
    sigmoids = ca.network(features, ca_head, tuple(MEAN), tuple(STD), score="sigmoid", size=8)
    found = sums_of(RECIPRO_CAM, gap_head, A, network=sigmoids)
    found = np.log(found / (1 - found))
    np.testing.assert_allclose(found, cam / 20 + BIAS[LABELS][:, None, None], atol=1e-5)


def test_masks_are_cut_at_the_border():
    masks = position_masks("gaussian", (2, 3)).reshape(2, 3, 2, 3)
    np.testing.assert_allclose(masks[0, 0], [[0.25, 0.125, 0], [0.125, 0.0625, 0]])
    np.testing.assert_array_equal(position_masks("one-hot", (2, 3)), np.eye(6).reshape(6, 2, 3))


def test_masks_are_hashed_and_others_refused():
    assert recipro_cam("gaussian").hash != RECIPRO_CAM.hash
    with pytest.raises(InputError, match="recipro_cam_mask"):
        recipro_cam("gauss")
    with pytest.raises(InputError, match="whole network"):
        sums_of(RECIPRO_CAM, gap_head, A)
