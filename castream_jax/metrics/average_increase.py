"""Average increase (Chattopadhyay et al., 2018)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.masked import MASKING, masked_probability
from castream_jax.metrics.metric import Case, Metric


def average_increase(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return 1 where o > p, else 0; NaN where p or o is (METHOD 3).

    Args:
      p: the class probability on the image.
      o: that on the masked image.
    """
    return jnp.where(jnp.isnan(p) | jnp.isnan(o), jnp.nan, jnp.where(o > p, 1.0, 0.0))


def measure(case: Case) -> Conversation:
    """Measure it, and keep o."""
    o = yield from masked_probability(case)
    return {"average_increase": average_increase(case.p, o), "masked_probability": o}


AVERAGE_INCREASE = Metric(
    symbol="AI",
    column="average_increase",
    name="Average increase",
    lower_is_better=False,
    meaning="The share of images whose class becomes more probable when the image is multiplied by the map.",
    formula="o > p",
    source="Chattopadhyay et al., 2018",
    columns=("masked_probability",),
    choices=MASKING,
    measure=measure,
)
