"""Random-logit test (Sixt et al., 2020): whether the map of another class is the same map."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.correlation import rank_correlation
from castream_jax.metrics.metric import CLASS, Case, Metric

SEED = 0
"""Of the other classes."""


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
