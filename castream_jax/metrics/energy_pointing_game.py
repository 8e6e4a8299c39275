"""Energy-based pointing game (Wang et al., 2020): the share of the map that is on the object."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import as_numbers, unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric


def energy_pointing_game(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the share of the map's sum that is on the object; NaN where there is none.

    A map of zeros scores the object's share of the image, as every other constant map does.

    Args:
      maps: in [0, 1], at the image's size.
      truth: true on the object.

    Source: Wang et al., 2020 (Score-CAM).
    """
    on = as_numbers(truth)
    inside, total = (maps * on).sum((1, 2)), maps.sum((1, 2))
    share = jnp.where(total > 0, inside / jnp.where(total > 0, total, 1), on.mean((1, 2)))
    return unless_empty(share, truth)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"energy_pointing_game": energy_pointing_game(case.saliency, case.truth[case.of])}  # type: ignore[index]


ENERGY_POINTING_GAME = Metric(
    symbol="EPG",
    column="energy_pointing_game",
    name="Energy-based pointing game",
    lower_is_better=False,
    meaning="The share of the map's sum that lies on the object.",
    source="Wang et al., 2020",
    question=PLACE,
    needs_truth=True,
    measure=measure,
)
