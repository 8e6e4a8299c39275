"""Average drop, gain and increase: the class probability on the image (p) against the masked image (o).

AD: Chattopadhyay et al., 2018; AG: Zhang et al., 2024 (Opti-CAM). All per image, as fractions; means are the report's.
Where p or o is NaN, so is each of them.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def average_drop(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return `(p - o)+ / p` in [0, 1], 0 where p is 0 (METHOD 3)."""
    return jnp.maximum(p - o, 0) / jnp.where(p > 0, p, 1)


def average_gain(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return `(o - p)+ / (1 - p)` in [0, 1], 0 where p is 1 (METHOD 3)."""
    return jnp.maximum(o - p, 0) / jnp.where(p < 1, 1 - p, 1)


def average_increase(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return 1 where o > p, else 0 (METHOD 3)."""
    return jnp.where(jnp.isnan(p) | jnp.isnan(o), jnp.nan, jnp.where(o > p, 1.0, 0.0))
