"""What a saliency map is worth to its network: a record and a pure function in a file for each metric (METHOD 3)."""

from castream_jax.metrics.adcc import ADCC
from castream_jax.metrics.arcc import ARCC
from castream_jax.metrics.average_drop import AVERAGE_DROP
from castream_jax.metrics.average_gain import AVERAGE_GAIN
from castream_jax.metrics.average_increase import AVERAGE_INCREASE
from castream_jax.metrics.box_accuracy import MAX_BOX_ACCURACY
from castream_jax.metrics.cascading_randomisation import CASCADING_RANDOMISATION
from castream_jax.metrics.cascading_similarity import CASCADING_SIMILARITY
from castream_jax.metrics.coherency import COHERENCY
from castream_jax.metrics.complexity import COMPLEXITY
from castream_jax.metrics.deletion import DELETION
from castream_jax.metrics.energy_pointing_game import ENERGY_POINTING_GAME
from castream_jax.metrics.entropy import ENTROPY
from castream_jax.metrics.gini import GINI
from castream_jax.metrics.grid_pointing_game import GRID_POINTING_GAME
from castream_jax.metrics.infidelity import INFIDELITY
from castream_jax.metrics.insertion import INSERTION
from castream_jax.metrics.insertion_minus_deletion import INSERTION_MINUS_DELETION
from castream_jax.metrics.least_relevance_gain import LEAST_RELEVANCE_GAIN
from castream_jax.metrics.max_sensitivity import MAX_SENSITIVITY
from castream_jax.metrics.metric import Metric
from castream_jax.metrics.most_relevance_gain import MOST_RELEVANCE_GAIN
from castream_jax.metrics.mu_fidelity import MU_FIDELITY
from castream_jax.metrics.overlap_best import OVERLAP_BEST
from castream_jax.metrics.overlap_fixed import OVERLAP_FIXED
from castream_jax.metrics.pointing_game import POINTING_GAME
from castream_jax.metrics.random_logit import RANDOM_LOGIT
from castream_jax.metrics.randomised_entropy import RANDOMISED_ENTROPY
from castream_jax.metrics.rank_accuracy import RANK_ACCURACY
from castream_jax.metrics.reverse_deletion import REVERSE_DELETION
from castream_jax.metrics.road import ROAD
from castream_jax.metrics.road_least_first import ROAD_LEAST_FIRST
from castream_jax.metrics.road_most_first import ROAD_MOST_FIRST
from castream_jax.metrics.single_deletion import SINGLE_DELETION
from castream_jax.metrics.symmetric_relevance_gain import SYMMETRIC_RELEVANCE_GAIN

METRICS: dict[str, Metric] = {
    metric.symbol: metric
    for metric in (
        AVERAGE_DROP,
        AVERAGE_GAIN,
        AVERAGE_INCREASE,
        INSERTION,
        DELETION,
        INSERTION_MINUS_DELETION,
        REVERSE_DELETION,
        SYMMETRIC_RELEVANCE_GAIN,
        MOST_RELEVANCE_GAIN,
        LEAST_RELEVANCE_GAIN,
        ROAD,
        ROAD_MOST_FIRST,
        ROAD_LEAST_FIRST,
        SINGLE_DELETION,
        MU_FIDELITY,
        INFIDELITY,
        COHERENCY,
        ADCC,
        ARCC,
        POINTING_GAME,
        ENERGY_POINTING_GAME,
        OVERLAP_BEST,
        OVERLAP_FIXED,
        RANK_ACCURACY,
        MAX_BOX_ACCURACY,
        GINI,
        ENTROPY,
        COMPLEXITY,
        RANDOM_LOGIT,
        GRID_POINTING_GAME,
        CASCADING_RANDOMISATION,
        CASCADING_SIMILARITY,
        RANDOMISED_ENTROPY,
        MAX_SENSITIVITY,
    )
}
"""By symbol, in the order of the tables. A user's own joins them when a config or a report names it."""
