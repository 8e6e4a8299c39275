"""The intervals of a report's table: of every cell, and of CA minus GAP under every attribution and metric."""

from typing import Any

import numpy as np
import pyarrow as pa

from castream_jax.evaluation.rows import group_rows, mean_present, measured, percentages, without_curves
from castream_jax.evaluation.statistics import bootstrap_intervals

DIFFERENCE = "ca - gap"


def bootstrap_table(rows: pa.Table, resamples: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Return the 95 % intervals of the means of `rows.summarise`, in percent, all from the same resampled images.

    Args:
      rows: per-image rows, of the same images in the same order for every attribution and pooling.
      resamples, seed: as for `statistics.resample_means`.

    Returns:
      "intervals": for each line of `summarise` its "attribution" and "pooling", and [low, high] by metric.
      "differences": for each attribution of both poolings its "attribution", and by metric the "mean" of CA minus GAP
      and its "interval", that of the paired bootstrap.
      What does not exist is None.
    """
    metrics = measured(rows)
    columns = {
        (*pair, metric.symbol): percentages(group, metric)
        for pair, group in group_rows(without_curves(rows)).items()
        for metric in metrics
    }
    pairs = list(dict.fromkeys((attribution, pooling) for attribution, pooling, _ in columns))
    both = [attribution for attribution, pooling in pairs if pooling == "gap" and (attribution, "ca") in pairs]
    for attribution in both:
        for metric in metrics:
            gap, ca = (columns[attribution, pooling, metric.symbol] for pooling in ("gap", "ca"))
            columns[attribution, DIFFERENCE, metric.symbol] = ca - gap
    values = np.stack(list(columns.values()), axis=1) if columns else np.zeros((0, 0))  # [n m]
    intervals = [interval and list(interval) for interval in bootstrap_intervals(values, resamples, seed)]
    found = dict(zip(columns, intervals, strict=True))
    return {
        "intervals": [
            {"attribution": attribution, "pooling": pooling}
            | {metric.symbol: found[attribution, pooling, metric.symbol] for metric in metrics}
            for attribution, pooling in pairs
        ],
        "differences": [
            {"attribution": attribution}
            | {
                metric.symbol: {
                    "mean": mean_present(columns[attribution, DIFFERENCE, metric.symbol]),
                    "interval": found[attribution, DIFFERENCE, metric.symbol],
                }
                for metric in metrics
            }
            for attribution in both
        ],
    }
