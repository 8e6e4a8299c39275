"""Box accuracy (Choe et al., 2020, MaxBoxAccV2): whether a box around a part of the map is the object's."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric
from castream_jax.metrics.overlap_best import THRESHOLDS

OVERLAPS = (0.3, 0.5, 0.7)
"""Intersections over union from which a box is the object's."""
OUTSIDE = -1e6


def best_box_iou(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the best intersection over union of the box around the object and one around a part of the map.

    Parts are what holds together, sideways or by corners, of where the map is at least a threshold, any of
    `THRESHOLDS`. NaN where there is no object.
    """
    target = jnp.where(truth, corners(truth), OUTSIDE).max((2, 3), keepdims=True)  # [4 J 1 1]

    def at(threshold: Float[Array, ""]) -> Float[Array, "J"]:
        chosen = maps >= threshold
        return jnp.where(chosen, box_iou(join(chosen), target), 0).max((1, 2))

    return unless_empty(lax.map(at, jnp.asarray(THRESHOLDS)).max(0), truth)


def corners(pixels: Bool[Array, "J H W"]) -> Float[Array, "4 J H W"]:
    """Return each pixel as a box: -top, bottom, -left, right, all of which grow with it."""
    rows, columns = (lax.broadcasted_iota(jnp.float32, pixels.shape, axis) for axis in (1, 2))
    return jnp.stack([-rows, rows, -columns, columns])


def join(pixels: Bool[Array, "J H W"]) -> Float[Array, "4 J H W"]:
    """Return at each pixel the box around all that it holds together with; other pixels have none.

    Boxes spread to neighbours, then along rows and columns until they meet a gap: so few turns do.
    """
    inside = jnp.broadcast_to(pixels[None], (4, *pixels.shape))

    def spread(boxes: Array) -> Array:
        boxes = lax.reduce_window(boxes, OUTSIDE, lax.max, (1, 1, 3, 3), (1, 1, 1, 1), "SAME")
        boxes = jnp.where(inside, boxes, OUTSIDE)
        for axis in (2, 3):
            for reverse in (False, True):
                boxes, _ = lax.associative_scan(reach, (boxes, ~inside), reverse=reverse, axis=axis)
                boxes = jnp.where(inside, boxes, OUTSIDE)
        return boxes

    def turn(state: tuple[Array, Array]) -> tuple[Array, Array]:
        wider = spread(state[0])
        return wider, (wider != state[0]).any()

    first = jnp.where(inside, corners(pixels), OUTSIDE)
    return lax.while_loop(lambda state: state[1], turn, (first, jnp.asarray(True)))[0]


def reach(before: tuple[Array, Array], here: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the largest value since the last gap: how two stretches of a row, each with whether it has one, join."""
    return jnp.where(here[1], here[0], jnp.maximum(before[0], here[0])), before[1] | here[1]


def box_iou(a: Float[Array, "4 *n"], b: Float[Array, "4 *m"]) -> Float[Array, "*n"]:
    """Return the intersection over union of boxes of whole pixels."""

    def area(box: Array) -> Array:
        return jax.nn.relu(box[0] + box[1] + 1) * jax.nn.relu(box[2] + box[3] + 1)

    both = area(jnp.minimum(a, b))
    return both / (area(a) + area(b) - both)


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    iou = best_box_iou(case.saliency, case.truth[case.of])  # type: ignore[index]
    hits = jnp.stack([iou >= overlap for overlap in OVERLAPS]).mean(0)
    return {"box_accuracy": jnp.where(jnp.isnan(iou), jnp.nan, hits)}


BOX_ACCURACY = Metric(
    symbol="BoxAcc",
    column="box_accuracy",
    name="Box accuracy",
    lower_is_better=False,
    meaning=(
        "Whether a box around a part of the map that holds together above a threshold overlaps that of the object by "
        "0.3, 0.5, 0.7: the share of the three. At the threshold that suits the image best; MaxBoxAccV2 takes one for "
        "all images, which is less."
    ),
    formula="mean over δ = 0.3, 0.5, 0.7 of [max over thresholds and parts of IoU ≥ δ]",
    source="Choe et al., 2020",
    question=PLACE,
    options={"thresholds": list(THRESHOLDS), "overlaps": list(OVERLAPS)},
    needs_truth=True,
    by_default=False,
    measure=measure,
)
