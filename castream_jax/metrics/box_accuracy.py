"""MaxBoxAccV2 (Choe et al., 2020): whether a box around a part of the map is the object's, at the best thresholds."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from castream_jax.metrics.counting import unless_empty
from castream_jax.metrics.metric import PLACE, Case, Metric
from castream_jax.metrics.overlap_best import THRESHOLDS

OVERLAPS = (0.3, 0.5, 0.7)
"""Intersections over union from which a box is the object's."""
COLUMNS = tuple(f"box_iou_{round(100 * threshold):02d}" for threshold in THRESHOLDS)
"""Of the rows: the intersection over union at each threshold."""
OUTSIDE = -1e6


def box_ious(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "T J"]:
    """Return for each of `THRESHOLDS` the best intersection over union of the object's box and one around a part.

    Parts are what holds together, sideways or by corners, of where the map is at least the threshold. NaN where there
    is no object.
    """
    target = jnp.where(truth, corners(truth), OUTSIDE).max((2, 3), keepdims=True)  # [4 J 1 1]

    def at(threshold: Float[Array, ""]) -> Float[Array, "J"]:
        chosen = maps >= threshold
        best = jnp.where(chosen, box_iou(join(chosen), target), 0).max((1, 2))
        return unless_empty(best, truth)

    return lax.map(at, jnp.asarray(THRESHOLDS))


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
    """Measure it: each image at thresholds of its own, until all are there."""
    ious = box_ious(case.saliency, case.truth[case.of])  # type: ignore[index]
    best = ious.max(0)
    hits = jnp.stack([best >= overlap for overlap in OVERLAPS]).mean(0)
    return {"max_box_accuracy": jnp.where(jnp.isnan(best), jnp.nan, hits)} | dict(zip(COLUMNS, ious))


def settle(columns: Mapping[str, Float[np.ndarray, "n"]]) -> Float[np.ndarray, "n"]:
    """Return each image's share of `OVERLAPS` that is reached, at the thresholds at which most images reach them."""
    ious = np.stack([columns[name] for name in COLUMNS]).astype(np.float32)  # [T n]
    known = ~np.isnan(ious[0])
    shares = np.full(len(known), np.nan)
    if known.any():
        hits = ious[:, known] >= np.asarray(OVERLAPS, np.float32)[:, None, None]  # [3 T n]
        best = hits.mean(2).argmax(1)
        shares[known] = np.take_along_axis(hits, best[:, None, None], 1).mean((0, 1))
    return shares


MAX_BOX_ACCURACY = Metric(
    symbol="MaxBoxAcc",
    column="max_box_accuracy",
    name="Maximal box accuracy",
    lower_is_better=False,
    meaning=(
        "The share of images in which a box around a part of the map that holds together above a threshold overlaps "
        "that of the object by 0.3, 0.5, 0.7, mean over the three; for each of them at the threshold that is best for "
        "all images of the map together (MaxBoxAccV2)."
    ),
    formula="mean over δ = 0.3, 0.5, 0.7 of max over thresholds of the share of images with IoU ≥ δ",
    source="Choe et al., 2020",
    question=PLACE,
    columns=COLUMNS,
    options={"thresholds": list(THRESHOLDS), "overlaps": list(OVERLAPS)},
    needs_truth=True,
    by_default=False,
    measure=measure,
    settle=settle,
)
