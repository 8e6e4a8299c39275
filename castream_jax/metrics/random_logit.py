"""Random-logit test (Sixt et al., 2020): whether the map of another class is the same map."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.correlation import is_flat, pearson
from castream_jax.metrics.metric import CLASS, Case, Metric

SEED = 0
"""Of the other classes."""


def rank_correlation(a: Float[Array, "J n"], b: Float[Array, "J n"]) -> Float[Array, "J"]:
    """Return Spearman's correlation of long lists; equal values have the mean of their ranks, and flat lists give 0."""

    def ranks(values: Float[Array, "n"]) -> Float[Array, "n"]:
        ascending = jnp.sort(values)
        first, last = (jnp.searchsorted(ascending, values, side) for side in ("left", "right"))
        return (first + last) / (2 * len(values))  # in 0..1: whole ranks' squares leave float32

    found = pearson(jax.vmap(ranks)(a), jax.vmap(ranks)(b))
    return jnp.where(is_flat(a) | is_flat(b), 0, found)


def measure(case: Case) -> Conversation:
    """Measure it; no image goes through the network."""

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        first, second = (values.reshape(len(values), -1) for values in (case.saliency[jobs], made.maps))
        same = (first == second).all(1)  # a flat map too: it is that of every class
        return jnp.where(same, 1, rank_correlation(first, second))

    ((found,),) = yield [Again("random logit", judge, other_class=SEED)]
    return {"random_logit": found}


RANDOM_LOGIT = Metric(
    symbol="RLT",
    column="random_logit",
    name="Random-logit test",
    lower_is_better=True,
    meaning=(
        "The rank correlation of the map with that of another class of the same image, drawn at random. A map that "
        "does not depend on the class has 1."
    ),
    formula="Spearman(S of the class, S of another class)",
    source="Sixt et al., 2020",
    question=CLASS,
    options={"seed": SEED, "similarity": "Spearman"},
    needs_method=True,
    by_default=False,
    measure=measure,
)
