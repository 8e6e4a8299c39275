"""Entropy (Bhatt et al., 2020, "complexity"): over how many pixels a map is spread."""

import math

import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Float

from castream_jax.metrics.metric import SPREAD, Case, Metric


def entropy(maps: Float[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the entropy of each map as a distribution over its n pixels, by ln n: 1 for a flat one, zeros too."""
    flat = maps.reshape(len(maps), -1)
    total, n = flat.sum(1, keepdims=True), flat.shape[1]
    shares = jnp.where(total == 0, 1 / n, flat / jnp.where(total == 0, 1, total))
    return entr(shares).sum(1) / math.log(n)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"entropy": entropy(case.saliency)}


ENTROPY = Metric(
    symbol="Ent",
    column="entropy",
    name="Entropy",
    lower_is_better=True,
    meaning=(
        "The entropy of the map, as a distribution over the image's pixels, as a share of the largest: 1 where all are "
        "equal, 0 where one has all. It says how concise a map is, not whether it is right."
    ),
    formula="\N{MINUS SIGN}Σ q ln q / ln n, q = S / Σ S",
    source="Bhatt et al., 2020",
    question=SPREAD,
    by_default=False,
    measure=measure,
)
