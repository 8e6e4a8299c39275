"""Where the object is, counted: NaN where an image has no mask or box, so that it does not count in a mean."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def as_numbers(truth: Bool[Array, "J H W"]) -> Float[Array, "J H W"]:
    """Return 1 where true, else 0.

    All counting is done with these: XLA's CPU compiler (jaxlib 0.10.2) was seen to sum truth values of a large fusion
    with the wrong sign.
    """
    return lax.optimization_barrier(jnp.where(truth, 1.0, 0.0))


def unless_empty(values: Float[Array, "J"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return values, NaN where there is no object."""
    return jnp.where(as_numbers(truth).sum((1, 2)) > 0, values, jnp.nan)
