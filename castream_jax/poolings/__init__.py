"""What stands in the place of global average pooling: a record and a module in a file for each."""

from castream_jax.poolings.ca import CA, SINGLE
from castream_jax.poolings.class_attention import CLASS_ATTENTION
from castream_jax.poolings.efficient_probing import EFFICIENT_PROBING
from castream_jax.poolings.gap import GAP
from castream_jax.poolings.generalised_mean import GENERALISED_MEAN
from castream_jax.poolings.maximum import MAXIMUM
from castream_jax.poolings.pooling import Pooling
from castream_jax.poolings.simpool import SIMPOOL

POOLINGS: dict[str, Pooling] = {
    pooling.key: pooling
    for pooling in (GAP, CA, SINGLE, SIMPOOL, EFFICIENT_PROBING, CLASS_ATTENTION, GENERALISED_MEAN, MAXIMUM)
}
"""By key, in the order of tables. A user's own joins them when a config names it."""
