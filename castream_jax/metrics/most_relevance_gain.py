"""Most relevance gain (Blücher et al., 2024): how much sooner than a random order the most salient pixels hurt."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import SEED, at_random, most_first
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.symmetric_relevance_gain import find_areas


def measure(case: Case) -> Conversation:
    """Measure it; the random order is the image's, whatever its maps."""
    random, most = yield from find_areas(case, at_random(case), most_first(case))
    return {"most_relevance_gain": random - most}


MOST_RELEVANCE_GAIN = Metric(
    symbol="MRG",
    column="most_relevance_gain",
    name="Most relevance gain",
    lower_is_better=False,
    meaning="The area under the class probability while pixels are erased at random, minus that of deletion.",
    formula="D(random order) \N{MINUS SIGN} D(most first)",
    source="Blücher et al., 2024",
    choices=("step_rows", "deletion_end", "ties", "area_over"),
    options={"seed": SEED, "orders": 1},
    by_default=False,
    measure=measure,
)
