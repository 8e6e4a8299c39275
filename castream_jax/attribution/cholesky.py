"""Cholesky's decomposition by products alone, in one loop over columns that runs on every device.

LAPACK's kernels are quicker, but those for batches wait for threads of the pool that they run in: an evaluation on two
devices of a CPU with two cores hung in them.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def factorise(
    matrix: Float[Array, "m m"], rows: Float[Array, "r m"]
) -> tuple[Float[Array, "m m"], Float[Array, "r m"]]:
    """Return the lower factor L of a positive definite matrix, `L L^T`, and `rows L^-T`; NaN where it is not definite.

    The second is the solution x of `L x = row` for each row: it costs little beside the first.
    """
    whole = jnp.concatenate([matrix, rows])  # [m+r m]
    places = jnp.arange(len(whole))

    def add(j: Int[Array, ""], factor: Float[Array, "n m"]) -> Float[Array, "n m"]:
        known = jnp.matmul(factor, factor[j], precision=lax.Precision.HIGHEST)  # later columns are 0 still
        column = whole[:, j] - known
        return factor.at[:, j].set(jnp.where(places < j, 0.0, column / jnp.sqrt(column[j])))

    found = lax.fori_loop(0, len(matrix), add, jnp.zeros_like(whole))
    return found[: len(matrix)], found[len(matrix) :]


def invert_lower(factor: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Return the inverse of a lower factor."""
    size = len(factor)

    def add(i: Int[Array, ""], inverse: Float[Array, "m m"]) -> Float[Array, "m m"]:
        known = jnp.matmul(factor[i], inverse, precision=lax.Precision.HIGHEST)  # later rows are 0 still
        return inverse.at[i].set((jnp.where(jnp.arange(size) == i, 1.0, 0.0) - known) / factor[i, i])

    return lax.fori_loop(0, size, add, jnp.zeros_like(factor))
