"""Average gain (Zhang et al., 2024, Opti-CAM)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.masked import MASKING, masked_probability
from castream_jax.metrics.metric import Case, Metric


def average_gain(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return `(o - p)+ / (1 - p)` in [0, 1], 0 where p is 1; NaN where p or o is (METHOD 3).

    Args:
      p: the class probability on the image.
      o: that on the masked image.
    """
    return jnp.maximum(o - p, 0) / jnp.where(p < 1, 1 - p, 1)


def measure(case: Case) -> Conversation:
    """Measure it, and keep o."""
    o = yield from masked_probability(case)
    return {"average_gain": average_gain(case.p, o), "masked_probability": o}


AVERAGE_GAIN = Metric(
    symbol="AG",
    column="average_gain",
    name="Average gain",
    lower_is_better=False,
    meaning=(
        "The share of the missing probability that the class gains when the image is multiplied by the map. "
        "A map that removes what distracts the network gains much."
    ),
    formula="(o \N{MINUS SIGN} p)₊ / (1 \N{MINUS SIGN} p)",
    source="Zhang et al., 2024",
    columns=("masked_probability",),
    choices=MASKING,
    measure=measure,
)
