"""Relevance rank accuracy (Arras et al., 2022): how many of the most salient pixels are on the object."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import as_numbers, unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric


def rank_accuracy(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the share on the object of as many pixels as it has, the most salient ones; NaN where there is none.

    Pixels that tie at the edge share what is left, as their mean: so the order of equal pixels decides nothing, and a
    flat map scores the object's share of the image.
    """
    maps = lax.optimization_barrier(maps)  # else a compiler may compute them twice, and the edge equals no value
    on = as_numbers(truth)
    size = on.sum((1, 2))
    descending = -jnp.sort(-maps.reshape(len(maps), -1), axis=1)
    last = jnp.clip(size.astype(jnp.int32) - 1, 0)[:, None]
    edge = jnp.take_along_axis(descending, last, axis=1)[:, :, None]
    above, tied = jnp.where(maps > edge, 1.0, 0.0), jnp.where(maps == edge, 1.0, 0.0)
    left = size - above.sum((1, 2))
    hits = (above * on).sum((1, 2)) + left * (tied * on).sum((1, 2)) / tied.sum((1, 2))
    return unless_empty(hits / jnp.maximum(size, 1), truth)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"rank_accuracy": rank_accuracy(case.saliency, case.truth[case.of])}  # type: ignore[index]


RANK_ACCURACY = Metric(
    symbol="RRA",
    column="rank_accuracy",
    name="Relevance rank accuracy",
    lower_is_better=False,
    meaning="The share that lies on the object of the most salient pixels, as many as the object has.",
    formula="share on the object of the n most salient pixels, n of the object",
    source="Arras et al., 2022",
    question=PLACE,
    needs_truth=True,
    by_default=False,
    measure=measure,
)
