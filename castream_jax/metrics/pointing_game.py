"""Pointing game (Zhang et al., 2018): whether the most salient pixel is on the object."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import as_numbers, unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric


def pointing_game(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return whether the map's largest value is on the object: 1 or 0; NaN where there is none.

    Where several positions tie, the share of them on the object: what a random one of them would score on average. So
    the order of pixels decides nothing, and a flat map scores the object's share of the image, which is chance.
    No margin: Zhang et al. also count a hit within 15 pixels of the object, in photographs of about 500 pixels. At the
    size of a network's input that would be a large part of the image, so these numbers are lower than with it.

    Args:
      maps: in [0, 1], at the image's size.
      truth: true on the object.

    Source: Zhang et al., 2018 (Top-down neural attention by excitation backprop).
    """
    maps = lax.optimization_barrier(maps)  # else a compiler may compute them twice, and the maximum equals no value
    largest = jnp.where(maps == maps.max((1, 2), keepdims=True), 1.0, 0.0)
    return unless_empty((largest * as_numbers(truth)).sum((1, 2)) / largest.sum((1, 2)), truth)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"pointing_game": pointing_game(case.saliency, case.truth[case.of])}  # type: ignore[index]


POINTING_GAME = Metric(
    symbol="PG",
    column="pointing_game",
    name="Pointing game",
    lower_is_better=False,
    meaning="The share of images whose most salient pixel lies on the object.",
    source="Zhang et al., 2018",
    question=PLACE,
    needs_truth=True,
    measure=measure,
)
