"""The intervals of a report's table: of every cell, and of each pooling minus the first under every attribution."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from castream_jax.evaluation.row_images import number_images
from castream_jax.evaluation.rows import group_rows, mean_present, measured, percentages, without_curves
from castream_jax.report.schema import Difference, Intervals
from castream_jax.report.statistics import (
    RESAMPLES,
    Interval,
    bootstrap,
    count_owners,
    fewest_resamples,
    survive_holm,
)
from castream_jax.wording import list_poolings


def bootstrap_table(rows: pa.Table, resamples: int, seed: int) -> Intervals:
    """Return the 95 % intervals of the means of `rows.summarise`, in percent, all from the same resampled images.

    Args:
      rows: per-image rows, of the same images in the same order for every attribution and pooling.
      resamples, seed: as for `statistics.resample_means`.

    Returns:
      "intervals": for each line of `summarise` its "attribution" and "pooling", and [low, high] by metric.
      "differences": for each attribution and each pooling but the first one of the table its "attribution", "pooling"
      and that it is "against", and by metric a `schema.Difference`, with the interval of the paired bootstrap.
      What does not exist is None.
    """
    metrics = measured(rows)
    columns = {
        (*pair, metric.symbol): percentages(group, metric)
        for pair, group in group_rows(without_curves(rows)).items()
        for metric in metrics
    }
    pairs = list(dict.fromkeys((attribution, pooling) for attribution, pooling, _ in columns))
    compared = list_compared(pairs)
    cells = [(attribution, pooling, first, metric) for attribution, pooling, first in compared for metric in metrics]
    differences = [columns[a, pooling, m.symbol] - columns[a, first, m.symbol] for a, pooling, first, m in cells]
    values = np.stack([*columns.values(), *differences], axis=1) if columns else np.zeros((0, 0))  # [n m]
    owners = number_images(rows)
    intervals, p_values = bootstrap(values, resamples, seed, owners)
    found = dict(zip(columns, intervals))
    told = describe_differences(differences, intervals[len(columns) :], p_values[len(columns) :], owners)
    by_cell = dict(zip(cells, told, strict=True))
    return {
        "intervals": [
            {"attribution": attribution, "pooling": pooling}
            | {metric.symbol: _listed(found[attribution, pooling, metric.symbol]) for metric in metrics}
            for attribution, pooling in pairs
        ],
        "differences": [
            {"attribution": attribution, "pooling": pooling, "against": first}
            | {metric.symbol: by_cell[attribution, pooling, first, metric] for metric in metrics}
            for attribution, pooling, first in compared
        ],
    }


def list_compared(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return of each attribution the poolings that are compared, and with which: (attribution, pooling, the first)."""
    first, *others = list_poolings(pairs) or [""]
    return [
        (attribution, pooling, first)
        for attribution in dict.fromkeys(attribution for attribution, _ in pairs)
        for pooling in others
        if {(attribution, pooling), (attribution, first)} <= set(pairs)
    ]


def choose_resamples(rows: pa.Table) -> int:
    """Return how many resamples the differences of some rows need: `RESAMPLES`, more where they are many.

    The least p that resamples can show is 2 in as many; Holm's correction asks for `0.05 / differences` first.
    """
    differences = len(list_compared(list(group_rows(without_curves(rows))))) * len(measured(rows))
    return max(RESAMPLES, fewest_resamples(differences))


def describe_differences(
    values: Sequence[Float[np.ndarray, "n"]],
    intervals: Sequence[Interval],
    p_values: Sequence[float | None],
    owners: Int[np.ndarray, "n"] | None = None,
) -> list[Difference]:
    """Return what a report says of some differences, row by row, from their intervals and p-values; `owners` as for
    `statistics.resample_means`.
    """
    p_values = [p if interval else None for p, interval in zip(p_values, intervals)]
    return [
        {
            "mean": mean_present(column),
            "interval": _listed(interval),
            "images": count_owners(column, owners),
            "p": p,
            "survives_holm": survives,
        }
        for column, interval, p, survives in zip(values, intervals, p_values, survive_holm(p_values), strict=True)
    ]


def _listed(interval: Interval) -> list[float] | None:
    return None if interval is None else list(interval)
