"""Symmetric relevance gain (Blücher et al., 2024): what the least salient pixels may cost, less what the most may."""

from castream_jax.compute.questions import Conversation
from castream_jax.compute.together import together
from castream_jax.metrics.curves import End, Order, erased, least_first, measure_area, most_first, trace_curve
from castream_jax.metrics.metric import Case, Metric


def find_areas(case: Case, *orders: Order) -> Conversation:
    """Find the areas under the class probability while the image is erased in each order, [J Q] each.

    The most salient pixels first is deletion, and asks nothing more where that is measured.
    """
    before, after = End(case.images), erased(case)
    curves = yield from together(*(trace_curve(case, order, before, after) for order in orders))
    found = [measure_area(case, curve) for curve in curves]
    return [areas[case.of] if order.share == "image" else areas for order, areas in zip(orders, found)]


def measure(case: Case) -> Conversation:
    """Measure it."""
    least, most = yield from find_areas(case, least_first(case), most_first(case))
    return {"symmetric_relevance_gain": least - most}


SYMMETRIC_RELEVANCE_GAIN = Metric(
    symbol="SRG",
    column="symmetric_relevance_gain",
    name="Symmetric relevance gain",
    lower_is_better=False,
    meaning=(
        "The area under the class probability while the image is erased, the least salient pixels first, minus that "
        "with the most salient first. It depends less than either on what erased pixels become. Below 0, the map is "
        "worse than its reverse."
    ),
    formula="D(least first) \N{MINUS SIGN} D(most first)",
    source="Blücher et al., 2024",
    choices=("step_rows", "deletion_end", "ties", "area_over"),
    by_default=False,
    measure=measure,
)
