"""HiResCAM: its formula, what is complete and what is not, and the maps that are one behind a linear layer."""

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.hires_cam import HIRES_CAM
from castream_jax.attribution.method import Subject
from castream_jax.attribution.shapley_cam import SHAPLEY_CAM
from castream_jax.attribution.xgrad_cam import XGRAD_CAM
from tests.asking import set_scene
from tests.attribution.toy import (
    BIAS,
    LABELS,
    SIGNED,
    A,
    ca_head,
    check_batches,
    check_dead_channels,
    curved_head,
    differentiate,
    gap_head,
    logit,
    sums_of,
)


@pytest.mark.parametrize("a", [A, SIGNED], ids=["positive", "signed"])
def test_its_formula(a):
    expected = (differentiate(logit(ca_head), a) * a).sum(-1)
    np.testing.assert_allclose(sums_of(HIRES_CAM, ca_head, a), expected, atol=2e-5)


def test_behind_one_linear_layer_four_maps_are_one():
    expected = sums_of(GRAD_CAM, gap_head, A)
    for method in (HIRES_CAM, XGRAD_CAM, SHAPLEY_CAM):
        np.testing.assert_allclose(sums_of(method, gap_head, A), expected, atol=1e-6, err_msg=method.key)
    np.testing.assert_allclose(expected.sum((1, 2)), logit(gap_head)(A) - BIAS[LABELS], atol=1e-5)


def test_behind_an_attention_and_a_normalisation_they_are_four():
    maps = [sums_of(method, curved_head, A) for method in (GRAD_CAM, HIRES_CAM, XGRAD_CAM, SHAPLEY_CAM)]
    for i, one in enumerate(maps):
        for other in maps[:i]:
            assert np.abs(one - other).max() > 1e-2


def residual(head) -> np.ndarray:
    subject = Subject(set_scene(None, jnp.asarray(A, jnp.float32)), head, (), jnp.asarray(LABELS))
    return np.asarray(HIRES_CAM.describe(subject)["hires_cam_residual"])


def test_the_residual_is_what_the_map_does_not_add_up_to():
    np.testing.assert_allclose(residual(gap_head), 0, atol=1e-5)
    change = logit(ca_head)(A) - logit(ca_head)(np.zeros(A.shape))
    total = (differentiate(logit(ca_head), A) * A).sum((1, 2, 3))
    np.testing.assert_allclose(residual(ca_head), (change - total) / change, atol=1e-4)
    assert np.abs(residual(ca_head)).max() > 0.1


def test_its_remark_names_the_worst():
    said = HIRES_CAM.remark({"hires_cam_residual": np.array([0.01, -0.5, 0.02])})
    assert "2 % of the logit" in said
    assert "50 % in the worst" in said


def test_an_image_s_map_is_its_own():
    check_batches(HIRES_CAM, ca_head)
    check_dead_channels(HIRES_CAM, gap_head)
