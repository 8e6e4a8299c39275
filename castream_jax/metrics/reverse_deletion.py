"""Deletion in the reverse order (Samek et al., 2017; Blücher et al., 2024): the least salient pixels first."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import End, erased, least_first, measure_area, trace_curve
from castream_jax.metrics.metric import Case, Metric


def measure(case: Case) -> Conversation:
    """Measure it, and keep its curve."""
    curve = yield from trace_curve(case, least_first(case), End(case.images), erased(case))
    return {"reverse_deletion": measure_area(case, curve), "reverse_deletion_curve": curve}


REVERSE_DELETION = Metric(
    symbol="LIF",
    column="reverse_deletion",
    name="Deletion, least salient first",
    lower_is_better=False,
    meaning=(
        "The area under the class probability while the image is erased, the least salient pixels first. "
        "A good map keeps the class to the end."
    ),
    source="Blücher et al., 2024",
    curve="fraction of pixels deleted, the least salient first",
    choices=("step_rows", "deletion_end", "ties", "area_over"),
    by_default=False,
    measure=measure,
)
