"""How certain a mean over images is: the percentile bootstrap (Efron and Tibshirani, 1993, chapter 13).

Images are drawn anew with replacement, as many as there are, and the means are taken again. Every column sees the same
images in one resample, so the interval of a difference of two columns is that of the paired bootstrap. An image with
several rows, one for each class that it shows, is drawn with all of them: its rows are not independent.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 0

FEWEST = 20
"""Images from which on intervals are read: of fewer, an interval held the mean in less than 90 % of the trials of
`benchmarks/interval_coverage.py`."""

_CHUNK = 4_000_000
"""Counts held at once: 32 MB, whatever the number of images and resamples."""
_DRAWN = 16_000
"""Draws made at once: few enough for a cache."""
_HELD = 2**25
"""Resampled means held at once: 256 MB, whatever the number of columns and resamples."""
_ALIGNED = 64
"""Columns of which blocks are multiples: so a product of matrices sums each as it does in one of all columns."""

Interval = tuple[float, float] | None


def resample_means(
    values: Float[np.ndarray, "n m"], resamples: int, seed: int, owners: Int[np.ndarray, "n"] | None = None
) -> Float[np.ndarray, "resamples m"]:
    """Return the mean of each column over the images of each resample.

    Args:
      values: one row for each image; a NaN says that the image has no such value, and is left out of its column's
        means. A mean of no value is NaN.
      resamples: how many times all images are drawn.
      seed: of the draws, which depend on it and on the number of images alone.
      owners: the image of each row, 0 to one less than their number, where images have several; the mean is over rows.

    A resample is a count for each image, so that all its means are one product of matrices.
    """
    images = len(values) if owners is None else int(owners.max(initial=-1)) + 1
    absent = np.isnan(values)
    filled = np.where(absent, 0.0, values)
    present = None if owners is None and not absent.any() else (~absent).astype(np.float64)
    means = np.empty((resamples, values.shape[1]))
    generator = np.random.PCG64(seed)
    step = max(1, _CHUNK // max(len(values), 1))
    starts = range(0, resamples, step)
    for start in tqdm(starts, desc="bootstrap", unit="block", delay=2, leave=False):
        counts = count_draws(generator, images, min(step, resamples - start))
        counts = counts if owners is None else np.take(counts, owners, axis=1)  # [step n]
        totals = images if present is None else counts @ present
        with np.errstate(invalid="ignore"):
            means[start : start + step] = counts @ filled / totals
    return means


def count_draws(generator: np.random.PCG64, images: int, resamples: int) -> Float[np.ndarray, "resamples images"]:
    """Return how often each image comes in `images` draws with replacement, for each of so many resamples.

    From the generator's raw bits, the one stream that numpy promises never to change. Scaling 32 bits to the number of
    images makes some of them likelier than others by at most `images / 2^32`.
    """
    counts = np.empty((resamples, images))
    step = max(1, _DRAWN // max(images, 1))
    for start in range(0, resamples, step):
        block = counts[start : start + step]
        bits = generator.random_raw(len(block) * ((images + 1) // 2))  # 64 of them in each: two draws
        halves = np.stack([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], axis=1).reshape(len(block), -1)
        drawn = ((halves[:, :images] * np.uint64(images)) >> np.uint64(32)).astype(np.int64)
        places = drawn + images * np.arange(len(block))[:, None]
        block[:] = np.bincount(places.reshape(-1), minlength=block.size).reshape(block.shape)
    return counts


def find_intervals(means: Float[np.ndarray, "resamples m"]) -> list[Interval]:
    """Return the 95 % interval of each column's resampled means, or None where they are not numbers."""
    edges = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    intervals: list[Interval] = []
    for column in means.T:
        finite = column[np.isfinite(column)]
        intervals.append(tuple(np.quantile(finite, edges).tolist()) if len(finite) else None)
    return intervals


def bootstrap(
    values: Float[np.ndarray, "n m"],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    owners: Int[np.ndarray, "n"] | None = None,
) -> tuple[list[Interval], list[float | None]]:
    """Return the 95 % interval of the mean of each column, as `find_certain`, and its p-value, as `find_p_values`.

    Arguments are those of `resample_means`. For a paired interval give a column of differences. Blocks of columns take
    turns, each with the same draws again: many columns need many resamples, too.
    """
    intervals: list[Interval] = []
    p_values: list[float | None] = []
    width = max(_HELD // resamples // _ALIGNED, 1) * _ALIGNED
    for start in range(0, values.shape[1], width):
        block = values[:, start : start + width]
        means = resample_means(block, resamples, seed, owners)
        intervals += find_certain(means, block, owners)
        p_values += find_p_values(means)
    return intervals, p_values


def bootstrap_intervals(
    values: Float[np.ndarray, "n m"],
    resamples: int = RESAMPLES,
    seed: int = SEED,
    owners: Int[np.ndarray, "n"] | None = None,
) -> list[Interval]:
    """Return the intervals of `bootstrap`."""
    return bootstrap(values, resamples, seed, owners)[0]


def find_certain(
    means: Float[np.ndarray, "resamples m"],
    values: Float[np.ndarray, "n m"],
    owners: Int[np.ndarray, "n"] | None = None,
) -> list[Interval]:
    """Return the 95 % interval of each column's resampled means; None for a column of fewer than two images' values.

    Of one image the interval would be a point, which claims certainty where there is none.
    """
    counts = [count_owners(column, owners) for column in values.T]
    return [interval if count > 1 else None for interval, count in zip(find_intervals(means), counts)]


def count_owners(values: Float[np.ndarray, "n"], owners: Int[np.ndarray, "n"] | None) -> int:
    """Return how many images have a value that is finite."""
    finite = np.isfinite(values)
    return int(finite.sum()) if owners is None else len(np.unique(owners[finite]))


def find_p_values(means: Float[np.ndarray, "resamples m"]) -> list[float | None]:
    """Return for each column how often, in resamples that were centred on 0, a mean would be as far from 0, two-sided.

    Twice the smaller share of the resampled means on either side of 0, no less than one in as many as there are; None
    where they are not numbers.
    """
    found: list[float | None] = []
    for column in means.T:
        finite = column[np.isfinite(column)]
        sides = [(1 + np.count_nonzero(side)) / (1 + len(finite)) for side in (finite <= 0, finite >= 0)]
        found.append(min(1.0, 2 * min(sides)) if len(finite) else None)
    return found


def fewest_resamples(hypotheses: int) -> int:
    """Return the fewest resamples whose least p-value, `find_p_values` of means on one side, can survive Holm's
    correction for so many hypotheses.
    """
    return math.ceil(2 * hypotheses / (1 - LEVEL) * (1 - 1e-9))


def survive_holm(p_values: Sequence[float | None], level: float = 1 - LEVEL) -> list[bool]:
    """Return which of several hypotheses are rejected together; any of them wrongly at most `level` of the time.

    Holm (1979): the least of m p-values must be at most `level / m`, the next one `level / (m - 1)`, and so on until
    one is not. What has no p-value is not counted.
    """
    ranked = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    survives = [False] * len(p_values)
    for rank, (p, place) in enumerate(ranked):
        if p > level / (len(ranked) - rank):
            break
        survives[place] = True
    return survives
