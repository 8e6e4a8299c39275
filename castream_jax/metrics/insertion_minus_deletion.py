"""Insertion minus deletion: both in one number."""

from castream_jax.compute.questions import Conversation
from castream_jax.compute.together import together
from castream_jax.metrics import deletion, insertion
from castream_jax.metrics.metric import Case, Metric


def measure(case: Case) -> Conversation:
    """Measure it, by the curves of both."""
    inserted, deleted = yield from together(insertion.measure(case), deletion.measure(case))
    return {"insertion_minus_deletion": inserted["insertion"] - deleted["deletion"]}


INSERTION_MINUS_DELETION = Metric(
    symbol="I-D",
    column="insertion_minus_deletion",
    name="Insertion minus deletion",
    lower_is_better=False,
    meaning="Insertion minus deletion: what a sure network gives to both cancels.",
    formula="I \N{MINUS SIGN} D",
    source="Englebert et al., 2022",
    choices=("step_rows", "blur_size", "blur_sigma", "deletion_end", "ties", "area_over"),
    by_default=False,
    measure=measure,
)
