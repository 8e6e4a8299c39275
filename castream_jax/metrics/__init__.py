"""What a saliency map is worth to its network: a record and a pure function in a file for each metric (METHOD 3)."""

from castream_jax.metrics.average_drop import AVERAGE_DROP
from castream_jax.metrics.average_gain import AVERAGE_GAIN
from castream_jax.metrics.average_increase import AVERAGE_INCREASE
from castream_jax.metrics.deletion import DELETION
from castream_jax.metrics.energy_pointing_game import ENERGY_POINTING_GAME
from castream_jax.metrics.insertion import INSERTION
from castream_jax.metrics.metric import Metric
from castream_jax.metrics.overlap_best import OVERLAP_BEST
from castream_jax.metrics.overlap_fixed import OVERLAP_FIXED
from castream_jax.metrics.pointing_game import POINTING_GAME

METRICS: dict[str, Metric] = {
    metric.symbol: metric
    for metric in (
        AVERAGE_DROP,
        AVERAGE_GAIN,
        AVERAGE_INCREASE,
        INSERTION,
        DELETION,
        POINTING_GAME,
        ENERGY_POINTING_GAME,
        OVERLAP_BEST,
        OVERLAP_FIXED,
    )
}
"""By symbol, in the order of the tables. A user's own joins them when a config or a report names it."""
