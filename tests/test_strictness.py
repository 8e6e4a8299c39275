"""The settings of conftest.py are in force: a wrong shape, a silent promotion or a warning fails a test."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from castream_jax.compute.masking import mask_images, min_max
from castream_jax.poolings.stream import cross_attention_pool
from tests.conftest import LONG
from tests.networks import small_resnet

ROOT = Path(__file__).parent.parent


def test_wrong_shapes_are_caught():
    with pytest.raises(jaxtyping.TypeCheckError, match="feature_map"):
        cross_attention_pool(jnp.ones((2, 8)), jnp.ones((3, 4, 4, 8)))
    with pytest.raises(jaxtyping.TypeCheckError, match="masks"):
        mask_images(jnp.ones((1, 4, 4, 3)), jnp.ones((1, 4, 5)), (0.0,) * 3, (1.0,) * 3)


def test_wrong_dtypes_are_caught():
    with pytest.raises(jaxtyping.TypeCheckError, match="maps"):
        min_max(jnp.ones((4, 4), jnp.int32))


def test_wrong_shapes_are_caught_in_methods():
    with pytest.raises(jaxtyping.TypeCheckError, match="images"):
        small_resnet().features(jnp.ones((1, 32, 32, 4)))


def test_tests_that_take_long_are_there():
    assert LONG
    for name in LONG:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text("utf-8"), f"{name} of long.txt is not there"


def test_silent_rank_promotion_fails():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="a warning"):
        warnings.warn("a warning", stacklevel=1)


def test_eight_devices_of_the_cpu():
    assert [device.platform for device in jax.devices()] == ["cpu"] * 8
    assert np.asarray(jnp.ones(1)).dtype == np.float32


def test_dtypes_are_promoted_outside_of_what_is_ours_alone():
    assert (jnp.ones(1, jnp.bfloat16) + jnp.ones(1)).dtype == jnp.float32
