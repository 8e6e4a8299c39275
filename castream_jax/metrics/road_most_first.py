"""ROAD of the most salient pixels first (Rong et al., 2022, "MoRF")."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import most_first
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.road import OPTIONS, measure_area


def measure(case: Case) -> Conversation:
    """Measure it, and keep its curve."""
    return (yield from measure_area(case, "road_most_first", most_first(case)))


ROAD_MOST_FIRST = Metric(
    symbol="MoRF",
    column="road_most_first",
    name="Remove and debias, most salient first",
    lower_is_better=True,
    meaning=(
        "The area under the class probability while nine tenths of the pixels are filled in from their neighbours, the "
        "most salient first."
    ),
    source="Rong et al., 2022",
    curve="fraction filled in, most salient first, of 0.9",
    choices=("ties",),
    options=OPTIONS,
    by_default=False,
    measure=measure,
)
