"""Overlap at a fixed threshold (Chattopadhyay et al., 2018)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import as_numbers, unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric


def mask_iou(
    maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"], threshold: float | Float[Array, ""] = 0.5
) -> Float[Array, "J"]:
    """Return the intersection over union of the object and of where the map is at least `threshold`.

    Maps are min-max scaled, so that the default is half of a map's maximum. NaN where there is no object.

    Source: Chattopadhyay et al., 2018 (Grad-CAM++), with the object's mask in place of its box.
    """
    chosen, on = jnp.where(maps >= threshold, 1.0, 0.0), as_numbers(truth)
    both = (chosen * on).sum((1, 2))
    return unless_empty(both / (chosen.sum((1, 2)) + on.sum((1, 2)) - both), truth)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"iou_fixed": mask_iou(case.saliency, case.truth[case.of])}  # type: ignore[index]


OVERLAP_FIXED = Metric(
    symbol="IoU fixed",
    column="iou_fixed",
    name="Overlap at a fixed threshold",
    lower_is_better=False,
    meaning=("The intersection over union of the object and the pixels above the same threshold in every image."),
    source="Chattopadhyay et al., 2018",
    question=PLACE,
    options={"threshold": 0.5},
    needs_truth=True,
    measure=measure,
)
