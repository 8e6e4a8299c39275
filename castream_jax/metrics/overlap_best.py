"""Overlap at the best threshold (Choe et al., 2020)."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.metric import PLACE, Case, Metric
from castream_jax.metrics.overlap_fixed import mask_iou

THRESHOLDS = tuple(i / 20 for i in range(1, 20))
"""What `best_mask_iou` chooses from: 0.05 to 0.95."""


def best_mask_iou(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the largest `mask_iou` over `THRESHOLDS`, chosen for each map by itself.

    It tells the map's shape from its scale: which threshold is right depends on the method, and a fixed one favours
    some (Choe et al., 2020). The choice sees the truth, so this is what the map could reach, not what it reaches.
    """
    return lax.map(lambda threshold: mask_iou(maps, truth, threshold), jnp.asarray(THRESHOLDS)).max(0)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"iou_best": best_mask_iou(case.saliency, case.truth[case.of])}  # type: ignore[index]


OVERLAP_BEST = Metric(
    symbol="IoU best",
    column="iou_best",
    name="Overlap at the best threshold",
    lower_is_better=False,
    meaning=(
        "The intersection over union of the object and the pixels above a threshold, "
        "at the threshold that suits the image best."
    ),
    source="Choe et al., 2020",
    question=PLACE,
    options={"thresholds": list(THRESHOLDS)},
    needs_truth=True,
    measure=measure,
)
