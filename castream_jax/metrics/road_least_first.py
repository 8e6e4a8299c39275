"""ROAD of the least salient pixels first (Rong et al., 2022, "LeRF")."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import least_first
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.road import OPTIONS, measure_area


def measure(case: Case) -> Conversation:
    """Measure it, and keep its curve."""
    return (yield from measure_area(case, "road_least_first", least_first(case)))


ROAD_LEAST_FIRST = Metric(
    symbol="LeRF",
    column="road_least_first",
    name="Remove and debias, least salient first",
    lower_is_better=False,
    meaning=(
        "The area under the class probability while nine tenths of the pixels are filled in from their neighbours, the "
        "least salient first."
    ),
    source="Rong et al., 2022",
    curve="fraction filled in, least salient first, of 0.9",
    choices=("ties",),
    options=OPTIONS,
    by_default=False,
    measure=measure,
)
