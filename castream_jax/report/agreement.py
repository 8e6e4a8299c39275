"""How far metrics agree on which maps are better: rank correlations between them, and of each over images.

Metrics of explanations are known to rank methods differently, and differently from image to image (Tomsett et al.,
2020): one whose order of methods changes with the image tells little about a method. Null maps are left out: that
every metric tells a map from noise would count as agreement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int8

from castream_jax.evaluation.rows import group_rows, measured, percentages, without_curves
from castream_jax.report.schema import Agreement
from castream_jax.wording import is_null

FEWEST_METHODS = 3
"""Of two there is one pair, whose correlation is -1, 0 or 1."""


def measure_agreement(rows: pa.Table) -> Agreement | None:
    """Return how far the metrics of some rows agree; None unless two of them rank `FEWEST_METHODS`.

    Methods are ranked within one pooling, and what is found is the mean over poolings: numbers of two poolings are of
    two probabilities.
    """
    values = orient(rows)
    symbols = list(dict.fromkeys(symbol for found in values.values() for symbol in found))
    if len(symbols) < 2:
        return None
    by_image = {pooling: {name: order(each) for name, each in found.items()} for pooling, found in values.items()}
    by_mean = {
        pooling: {name: order(each[np.isfinite(each).all(1)].mean(0, keepdims=True)) for name, each in found.items()}
        for pooling, found in values.items()
    }

    def correlate_all(orders: dict[str, dict[str, Int8[np.ndarray, "images pairs"]]]) -> dict[str, dict[str, float]]:
        both = {(a, b): [own for own in orders.values() if a in own and b in own] for a in symbols for b in symbols}
        taus = {(a, b): _mean([correlate(own[a], own[b]) for own in held]) for (a, b), held in both.items()}
        return {a: {b: tau for b in symbols if (tau := taus[a, b]) is not None} for a in symbols}

    alphas = {name: _mean([find_alpha(own[name]) for own in values.values() if name in own]) for name in symbols}
    return {
        "methods": max(next(iter(found.values())).shape[1] for found in values.values()),
        "over_images": correlate_all(by_image),
        "over_methods": correlate_all(by_mean),
        "alpha": {name: alpha for name, alpha in alphas.items() if alpha is not None},
    }


def orient(rows: pa.Table) -> dict[str, dict[str, Float[np.ndarray, "images methods"]]]:
    """Return the numbers of each method on each image by pooling and symbol, the higher the better.

    Poolings of fewer than `FEWEST_METHODS` are left out, as are metrics without a number.
    """
    groups = {pair: group for pair, group in group_rows(without_curves(rows)).items() if not is_null(pair[0])}
    found: dict[str, dict[str, Float[np.ndarray, "images methods"]]] = {}
    for pooling in dict.fromkeys(pooling for _, pooling in groups):
        own = [group for (_, name), group in groups.items() if name == pooling]
        for metric in measured(rows) if len(own) >= FEWEST_METHODS else ():
            columns = np.stack([percentages(group, metric) for group in own], axis=1)
            if np.isfinite(columns).all(1).any():
                found.setdefault(pooling, {})[metric.symbol] = -columns if metric.lower_is_better else columns
    return found


def order(values: Float[np.ndarray, "images methods"]) -> Int8[np.ndarray, "images pairs"]:
    """Return of each pair of methods which one is better, 1, 0 or -1; of images that lack a number all 0."""
    known = np.isfinite(values).all(1, keepdims=True)
    first, second = np.triu_indices(values.shape[1], 1)
    return np.where(known, np.sign(values[:, first] - values[:, second]), 0).astype(np.int8)


def correlate(a: Int8[np.ndarray, "images pairs"], b: Int8[np.ndarray, "images pairs"]) -> float | None:
    """Return Kendall's tau-b of two orders of methods, the mean over images; None where neither orders any.

    Images on which either metric holds all methods equal are left out.
    """
    scale = np.sqrt(np.count_nonzero(a, axis=1) * np.count_nonzero(b, axis=1))
    ranked = scale > 0
    taus = (a * b).sum(1, dtype=np.int64)[ranked] / scale[ranked]
    return float(taus.mean()) if len(taus) else None


def find_alpha(values: Float[np.ndarray, "images methods"]) -> float | None:
    """Return Krippendorff's alpha of images that rank methods: 1 if all rank them alike, 0 if as chance would.

    Of mid-ranks within each image, with squared differences; images that lack a number are left out. None: there are
    fewer than two, or all methods are equal on all of them.

    Source: Krippendorff, 2011, interval metric; of metrics of explanations, Tomsett et al., 2020.
    """
    from scipy.stats import rankdata  # here, as importing it takes long, and what is measured does not wait for it

    values = values[np.isfinite(values).all(1)]
    ranks = rankdata(values, axis=1)  # [images methods]
    images, total = len(ranks), ranks.size
    if images < 2 or not ranks.std():
        return None
    observed = ((ranks - ranks.mean(0)) ** 2).sum() * images / (images - 1) / total
    expected = ((ranks - ranks.mean()) ** 2).sum() / (total - 1)
    return float(1 - observed / expected)


MEANING = (
    "Kendall's tau-b between the orders that two metrics give the methods: on an image, averaged, and second that of "
    "the means over images. 1 is the same order, -1 the reverse, 0 none in common. Krippendorff's alpha is how far "
    "images agree on the order by one metric."
)
"""Of the table."""


@dataclass(frozen=True)
class Line:
    """What one metric has in common with each, in the order of the table."""

    symbol: str
    taus: list[tuple[float | None, float | None]]
    """On an image, and of the means."""
    alpha: float | None


def tabulate_agreement(agreement: Agreement) -> list[Line]:
    """Return the lines of the table."""
    images, means = agreement["over_images"], agreement["over_methods"]
    return [Line(a, [(images[a].get(b), means[a].get(b)) for b in images], agreement["alpha"].get(a)) for a in images]


def find_least(agreement: Agreement) -> tuple[str, str, float] | None:
    """Return the two metrics that agree least on the order of methods, image by image, and their tau."""
    taus = agreement["over_images"]
    return min(((a, b, taus[a][b]) for a, b in combinations(taus, 2) if b in taus[a]), key=lambda x: x[2], default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are there, None where there is none."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None
