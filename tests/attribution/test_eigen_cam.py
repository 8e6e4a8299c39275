"""Eigen-CAM: against a singular value decomposition, with a sign of its own choice."""

import numpy as np
import pytest

from castream_jax.attribution.eigen_cam import EIGEN_CAM
from tests.attribution.toy import RNG, SIGNED, A, check_batches, check_dead_channels, gap_head, sums_of

WIDE = RNG.standard_normal((3, 2, 2, 9))
"""More channels than positions."""


@pytest.mark.parametrize("a", [A, SIGNED, WIDE], ids=["positive", "signed", "wide"])
def test_it_is_the_first_singular_direction(a):
    b, h, w, c = a.shape
    flat = a.reshape(b, h * w, c)
    expected = np.stack([one @ np.linalg.svd(one)[2][0] for one in flat])
    turned = np.abs(expected.min(1)) > expected.max(1)
    expected = np.where(turned[:, None], -expected, expected).reshape(b, h, w)
    np.testing.assert_allclose(sums_of(EIGEN_CAM, gap_head, a), expected, atol=1e-4)


def test_its_sign_does_not_depend_on_the_activation_s():
    np.testing.assert_allclose(sums_of(EIGEN_CAM, gap_head, -A), sums_of(EIGEN_CAM, gap_head, A), atol=1e-5)


def test_its_scale_is_kept_where_squares_would_overflow():
    large = sums_of(EIGEN_CAM, gap_head, 1e25 * A)
    np.testing.assert_allclose(large / 1e25, sums_of(EIGEN_CAM, gap_head, A), atol=1e-4)


def test_dead_channels_and_batches():
    check_dead_channels(EIGEN_CAM, gap_head)
    check_batches(EIGEN_CAM, gap_head)
