"""Least relevance gain (Blücher et al., 2024): how much later than in a random order the least salient pixels hurt."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import SEED, at_random, least_first
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.symmetric_relevance_gain import find_areas


def measure(case: Case) -> Conversation:
    """Measure it; the random order is the image's, whatever its maps."""
    least, random = yield from find_areas(case, least_first(case), at_random(case))
    return {"least_relevance_gain": least - random}


LEAST_RELEVANCE_GAIN = Metric(
    symbol="LRG",
    column="least_relevance_gain",
    name="Least relevance gain",
    lower_is_better=False,
    meaning=(
        "The area under the class probability while the image is erased, the least salient pixels first, minus that "
        "of a random order."
    ),
    formula="D(least first) \N{MINUS SIGN} D(random order)",
    source="Blücher et al., 2024",
    choices=("step_rows", "deletion_end", "ties", "area_over"),
    options={"seed": SEED, "orders": 1},
    by_default=False,
    measure=measure,
)
