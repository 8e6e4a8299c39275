"""Average drop (Chattopadhyay et al., 2018)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.masked import MASKING, masked_probability
from castream_jax.metrics.metric import Case, Metric


def average_drop(p: Float[Array, "*B"], o: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """Return `(p - o)+ / p` in [0, 1], 0 where p is 0; NaN where p or o is (METHOD 3).

    Args:
      p: the class probability on the image.
      o: that on the masked image.
    """
    return jnp.maximum(p - o, 0) / jnp.where(p > 0, p, 1)


def measure(case: Case) -> Conversation:
    """Measure it, and keep o."""
    o = yield from masked_probability(case)
    return {"average_drop": average_drop(case.p, o), "masked_probability": o}


AVERAGE_DROP = Metric(
    symbol="AD",
    column="average_drop",
    name="Average drop",
    lower_is_better=True,
    meaning=(
        "The share of its probability that the class loses when the image is multiplied by the map. "
        "A map that keeps what the network needs loses little."
    ),
    formula="(p \N{MINUS SIGN} o)₊ / p",
    source="Chattopadhyay et al., 2018",
    columns=("masked_probability",),
    choices=MASKING,
    measure=measure,
)
