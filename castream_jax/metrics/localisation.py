"""Where a map lies against where the object is: pointing games and mask IoU.

Maps are in [0, 1] at the image's size, `truth` is true on the object. All functions return one float32 fraction for
each map, 1 being best, and NaN where `truth` is empty: such images have no answer and must not count in a mean.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

THRESHOLDS = tuple(i / 20 for i in range(1, 20))
"""What `best_mask_iou` chooses from: 0.05 to 0.95."""


def pointing_game(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return whether the map's largest value is on the object: 1 or 0.

    Where several positions tie, the share of them on the object: what a random one of them would score on average. So
    the order of pixels decides nothing, and a flat map scores the object's share of the image, which is chance.
    No margin: Zhang et al. also count a hit within 15 pixels of the object, in photographs of about 500 pixels. At the
    size of a network's input that would be a large part of the image, so these numbers are lower than with it.

    Source: Zhang et al., 2018 (Top-down neural attention by excitation backprop).
    """
    maps = lax.optimization_barrier(maps)  # else a compiler may compute them twice, and the maximum equals no value
    largest = jnp.where(maps == maps.max((1, 2), keepdims=True), 1.0, 0.0)
    return _unless_empty((largest * as_numbers(truth)).sum((1, 2)) / largest.sum((1, 2)), truth)


def energy_pointing_game(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the share of the map's sum that is on the object.

    A map of zeros scores the object's share of the image, as every other constant map does.

    Source: Wang et al., 2020 (Score-CAM).
    """
    on = as_numbers(truth)
    inside, total = (maps * on).sum((1, 2)), maps.sum((1, 2))
    share = jnp.where(total > 0, inside / jnp.where(total > 0, total, 1), on.mean((1, 2)))
    return _unless_empty(share, truth)


def mask_iou(
    maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"], threshold: float | Float[Array, ""] = 0.5
) -> Float[Array, "J"]:
    """Return the intersection over union of the object and of where the map is at least `threshold`.

    Maps are min-max scaled, so that the default is half of a map's maximum.

    Source: Chattopadhyay et al., 2018 (Grad-CAM++), with the object's mask in place of its box.
    """
    chosen, on = jnp.where(maps >= threshold, 1.0, 0.0), as_numbers(truth)
    both = (chosen * on).sum((1, 2))
    return _unless_empty(both / (chosen.sum((1, 2)) + on.sum((1, 2)) - both), truth)


def best_mask_iou(maps: Float[Array, "J H W"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    """Return the largest `mask_iou` over `THRESHOLDS`, chosen for each map by itself.

    It tells the map's shape from its scale: which threshold is right depends on the method, and a fixed one favours
    some (Choe et al., 2020). The choice sees the truth, so this is what the map could reach, not what it reaches.
    """
    return lax.map(lambda threshold: mask_iou(maps, truth, threshold), jnp.asarray(THRESHOLDS)).max(0)


def as_numbers(truth: Bool[Array, "J H W"]) -> Float[Array, "J H W"]:
    """Return 1 where true, else 0.

    All counting is done with these: XLA's CPU compiler (jaxlib 0.10.2) was seen to sum truth values of a large fusion
    with the wrong sign.
    """
    return lax.optimization_barrier(jnp.where(truth, 1.0, 0.0))


def _unless_empty(values: Float[Array, "J"], truth: Bool[Array, "J H W"]) -> Float[Array, "J"]:
    return jnp.where(as_numbers(truth).sum((1, 2)) > 0, values, jnp.nan)
