"""Sparseness (Chalasani et al., 2020): the Gini index of a map's values."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.metrics.metric import SPREAD, Case, Metric


def gini(maps: Float[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the Gini index of each map's values: 0 for a flat map, nearly 1 where one pixel has all."""
    ascending = jnp.sort(maps.reshape(len(maps), -1), axis=1)
    n = ascending.shape[1]
    weights = (2 * jnp.arange(1, n + 1) - n - 1) / n
    total = ascending.sum(1)
    return jnp.where(total == 0, 0, (ascending * weights[None]).sum(1) / jnp.where(total == 0, 1, total))


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"gini": gini(case.saliency)}


GINI = Metric(
    symbol="Gini",
    column="gini",
    name="Sparseness",
    lower_is_better=False,
    meaning=(
        "The Gini index of the map's values at the image's size: 0 where all are equal, nearly 1 where one pixel has "
        "all. It says how concise a map is, not whether it is right."
    ),
    formula="Σ (2j \N{MINUS SIGN} n \N{MINUS SIGN} 1) S₍ⱼ₎ / (n Σ S), S₍ⱼ₎ ascending",
    source="Chalasani et al., 2020",
    question=SPREAD,
    by_default=False,
    measure=measure,
)
