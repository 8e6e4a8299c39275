"""Fresh weights have the distributions of JAX's initializers, from numpy, and a seed's are always the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from castream_jax.models.layers import fresh

SHAPE = (3, 3, 64, 128)
PAIRS = {
    "he_normal": (fresh.he_normal, jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")),
    "he_normal_depthwise": (fresh.he_normal_depthwise, jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")),
    "truncated_normal": (fresh.truncated_normal, jax.nn.initializers.truncated_normal(0.02)),
    "xavier_uniform": (fresh.xavier_uniform, jax.nn.initializers.xavier_uniform()),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_have_the_distribution_of_jaxs(name):
    ours, theirs = (np.asarray(init(jax.random.key(0), SHAPE, jnp.float32)).ravel() for init in PAIRS[name])
    assert ours.dtype == np.float32
    assert ours.std() == pytest.approx(theirs.std(), rel=0.01)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.2)
    assert kstest(ours, theirs).pvalue > 0.01


@pytest.mark.parametrize("name", PAIRS)
def test_a_key_decides(name):
    draw = PAIRS[name][0]
    first, again, other = (np.asarray(draw(jax.random.key(seed), (4, 5))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert (
        np.abs(np.corrcoef(np.ravel(draw(jax.random.key(1), (64, 64))), np.ravel(draw(jax.random.key(2), (64, 64)))))[
            0, 1
        ]
        < 0.1
    )
    np.testing.assert_array_equal(draw(jax.random.PRNGKey(1), (4, 5)), first)


def test_traced_keys_are_jaxs_own():
    found = jax.jit(lambda key: fresh.xavier_uniform(key, (4, 5)))(jax.random.key(3))
    np.testing.assert_allclose(found, jax.nn.initializers.xavier_uniform()(jax.random.key(3), (4, 5)), rtol=1e-6)
