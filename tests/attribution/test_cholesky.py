"""Cholesky's decomposition by products, against numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from castream_jax.attribution.cholesky import factorise, invert_lower
from tests.goldens import assert_close

RNG = np.random.default_rng(0)


def test_factors_solutions_and_inverses_of_a_batch():
    spread = RNG.standard_normal((3, 30, 30))
    matrices, rows = spread @ spread.transpose(0, 2, 1) + np.eye(30), RNG.standard_normal((3, 4, 30))
    compute = jax.jit(jax.vmap(factorise))
    factors, solved = compute(jnp.asarray(matrices, jnp.float32), jnp.asarray(rows, jnp.float32))
    expected = np.linalg.cholesky(matrices)
    inverses = np.linalg.inv(expected)
    assert_close(factors, expected, relative=1e-5)
    assert_close(solved, rows @ inverses.transpose(0, 2, 1), relative=1e-4)
    assert_close(jax.jit(jax.vmap(invert_lower))(factors), inverses, relative=1e-4)


def test_a_matrix_that_is_not_definite_gives_no_numbers():
    factor, _ = factorise(jnp.asarray([[1.0, 2.0], [2.0, 1.0]]), jnp.zeros((1, 2)))
    assert np.isnan(factor).any()
