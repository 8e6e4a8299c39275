"""How two lists of numbers go together; 0, and not defined, where one of them is flat."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

FLAT = 1e-5
"""A list whose values differ by less than this share of the largest is flat: what float32 makes of equal sums."""


def is_flat(values: Float[Array, "*n T"]) -> Bool[Array, "*n"]:
    """Return where all values of a list are the same but for rounding; what is not a number is not flat."""
    flat = jnp.ptp(values, axis=-1) <= FLAT * jnp.abs(values).max(-1)
    return flat & ~jnp.isnan(values).any(-1)  # a compiler's largest of NaN alone may be minus infinity


def pearson(a: Float[Array, "*n T"], b: Float[Array, "*n T"]) -> Float[Array, "*n"]:
    """Return the correlation of the lists, 0 where one is flat."""
    centred = [values - values.mean(-1, keepdims=True) for values in (a, b)]
    return jnp.where(is_flat(a) | is_flat(b), 0, uncentred(*centred))


def spearman(a: Float[Array, "*n T"], b: Float[Array, "*n T"]) -> Float[Array, "*n"]:
    """Return the correlation of the lists' ranks, equal values having the mean of theirs; 0 where one is flat."""
    return jnp.where(is_flat(a) | is_flat(b), 0, pearson(mean_ranks(a), mean_ranks(b)))


def rank_correlation(a: Float[Array, "J n"], b: Float[Array, "J n"]) -> Float[Array, "J"]:
    """Return Spearman's correlation of long lists; equal values have the mean of their ranks, and flat lists give 0."""

    def ranks(values: Float[Array, "n"]) -> Float[Array, "n"]:
        ascending = jnp.sort(values)
        first, last = (jnp.searchsorted(ascending, values, side) for side in ("left", "right"))
        return (first + last) / (2 * len(values))  # in 0..1: whole ranks' squares leave float32

    found = pearson(jax.vmap(ranks)(a), jax.vmap(ranks)(b))
    return jnp.where(is_flat(a) | is_flat(b), 0, found)


def uncentred(a: Float[Array, "*n T"], b: Float[Array, "*n T"]) -> Float[Array, "*n"]:
    """Return `sum ab / sqrt(sum a^2 sum b^2)`, 0 where one is zeros."""
    # Divided by their largest values first: the squares of small ones would be zeros.
    a, b = (values / jnp.maximum(jnp.abs(values).max(-1, keepdims=True), 1e-30) for values in (a, b))
    size = jnp.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return jnp.where(size == 0, 0, (a * b).sum(-1) / jnp.where(size == 0, 1, size))


def mean_ranks(values: Float[Array, "*n T"]) -> Float[Array, "*n T"]:
    """Return the rank of each value in its list, from 0; equal values have the mean of theirs."""
    mine, others = values[..., :, None], values[..., None, :]
    before, equal = (jnp.where(truth, 1.0, 0.0).sum(-1) for truth in (others < mine, others == mine))
    return before + (equal - 1) / 2
