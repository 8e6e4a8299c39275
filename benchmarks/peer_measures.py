"""What the peers' metrics are where they are not ours, computed with our network, maps and imputation.

`maps` are [B H W], in 0..1. Each function's sentence is what a reason rests on.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import skimage.metrics

import castream_jax as ca
from benchmarks.peer_definitions import grow
from benchmarks.peer_trial import Pair
from castream_jax.metrics.correlation import pearson
from castream_jax.metrics.imputation import impute

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)

STEPS = 40
"""Of conjugate gradients: theirs solve directly, and ARCC divides by what may be next to 0."""

fill_in = jax.jit(functools.partial(impute, steps=STEPS))


def find_ranks(maps: np.ndarray) -> np.ndarray:
    """Return each pixel's place, the most salient first, of equal ones that with the lower index: torch-cam's order."""
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    return np.argsort(order, axis=1).reshape(maps.shape)


def trace(pair: Pair, ranks: np.ndarray, before: np.ndarray, after: np.ndarray, step: int) -> np.ndarray:
    """Return the probability [B points] while pixels change from `before` to `after` in the order of their ranks."""
    counts = range(0, ranks[0].size + 1, step)
    changed = np.stack([ranks < count for count in counts])[..., None]
    return pair.probabilities(np.where(changed, after, before)).T


def flip_colours(pair: Pair, maps: np.ndarray, step: int) -> np.ndarray:
    """Return the probability [B steps] after every step of pixel flipping, whose features are pixels' single colours.

    They stand in the order of a sort that leaves equal ones as it comes.
    """
    pixels = pair.images.transpose(0, 3, 1, 2)
    features = np.broadcast_to(maps[:, None], pixels.shape).reshape(len(maps), -1)
    order = np.argsort(-features, axis=1)
    flat, seen = pixels.reshape(len(maps), -1).copy(), []
    for first in range(0, flat.shape[1], step):
        np.put_along_axis(flat, order[:, first : first + step], 0, axis=1)
        seen.append(flat.reshape(pixels.shape).transpose(0, 2, 3, 1).copy())
    return pair.probabilities(np.stack(seen)).T


def patch_infidelity(pair: Pair, maps: np.ndarray, side: int) -> np.ndarray:
    """Return the mean square [B] of `sum a (x - x') - (p - p')`, x' losing one patch more at each step and none coming
    back.
    """
    seen, images = [], pair.images.copy()
    for row in range(0, pair.size[0], side):
        for column in range(0, pair.size[1], side):
            images[:, row : row + side, column : column + side] = 0
            seen.append(images.copy())
    lost = pair.probabilities(pair.images[None]) - pair.probabilities(np.stack(seen))
    given = np.stack([(maps[..., None] * (pair.images - one)).sum((1, 2, 3)) for one in seen])
    return ((lost - given) ** 2).mean(0)


def mean_square_cost(pair: Pair, sets: np.ndarray) -> np.ndarray:
    """Return the mean square [B] of what the probability loses by erasing each of some sets of pixels [T H W]."""
    without = pair.probabilities(np.where(sets[:, None, ..., None], 0, pair.images))
    return ((pair.probabilities(pair.images[None]) - without) ** 2).mean(0)


def threshold_road(pair: Pair, maps: np.ndarray, percentiles: tuple[int, ...] = PERCENTILES) -> dict[str, np.ndarray]:
    """Return by order the mean change of the probability [B] after pixels are filled in, of normalised images, without
    noise: those whose value is at or above a percentile of the map, or of 1 less the map.
    """
    p, found = pair.probabilities(pair.images[None])[0], {}
    for name, values in (("most", maps), ("least", 1 - maps)):
        gone = np.stack([[one >= np.percentile(one, q) for one in values] for q in percentiles])
        filled = np.stack([np.asarray(fill_in(pair.images, missing)) for missing in gone])
        found[name] = (pair.probabilities(filled) - p).mean(0)
    return found


def normalised_coherency(pair: Pair, maps: np.ndarray, of_logit: bool = True) -> np.ndarray:
    """Return the coherency [B] of Grad-CAM, of the logit or of the probability.

    Maps multiply normalised images, and are scaled at their size.
    """
    masked = maps[..., None] * pair.images
    model = pair.ours if of_logit else with_log_probabilities(pair.ours)
    again = grow(np.asarray(ca.attribute(model, masked, pair.labels, "grad_cam")), pair.size)
    return (np.asarray(pearson(*(jnp.asarray(m.reshape(len(m), -1)) for m in (again, maps)))) + 1) / 2


def with_log_probabilities(model: ca.Classifier) -> Any:
    """Return a network whose Grad-CAM is that of a probability, whose gradient is p times that of its logarithm."""
    return ca.network(
        features=model.features,
        head=lambda features: jax.nn.log_softmax(model.head(features)[0]),
        mean=model.normalisation.mean,
        std=model.normalisation.std,
        targets=[model.target(None)],
    )


def normalised_arcc(pair: Pair, maps: np.ndarray) -> np.ndarray:
    """Return ARCC [B] of that coherency, of the probability, and of ROAD by thresholds."""
    road = threshold_road(pair, maps, (20, 40, 60, 80))
    terms = (
        normalised_coherency(pair, maps, of_logit=False),
        1 - maps.mean((1, 2)),
        np.clip(road["least"] - road["most"], 0, 1),
    )
    return 3 / sum(1 / (term + 1e-8) for term in terms)


def hit_by_any(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return whether any pixel that has the map's largest value is on the object [B]."""
    return (truth & (maps == maps.max((1, 2), keepdims=True))).any((1, 2)).astype(float)


def flat_ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the structural similarity [B] of maps as lines of pixels, row after row."""
    pairs = zip(first.reshape(len(first), -1), second.reshape(len(second), -1))
    return np.array(
        [
            skimage.metrics.structural_similarity(a, b, data_range=float(max(a.max(), b.max()) - min(a.min(), b.min())))
            for a, b in pairs
        ]
    )
