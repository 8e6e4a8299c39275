"""The intervals of a report's table: of every cell, and of each pooling minus the first under every attribution."""

import numpy as np
import pyarrow as pa

from castream_jax.evaluation.rows import group_rows, mean_present, measured, percentages, without_curves
from castream_jax.report.schema import Intervals
from castream_jax.report.statistics import bootstrap_intervals
from castream_jax.wording import order_poolings


def bootstrap_table(rows: pa.Table, resamples: int, seed: int) -> Intervals:
    """Return the 95 % intervals of the means of `rows.summarise`, in percent, all from the same resampled images.

    Args:
      rows: per-image rows, of the same images in the same order for every attribution and pooling.
      resamples, seed: as for `statistics.resample_means`.

    Returns:
      "intervals": for each line of `summarise` its "attribution" and "pooling", and [low, high] by metric.
      "differences": for each attribution and each pooling but the first one of the table its "attribution", "pooling"
      and that it is "against", and by metric the "mean" of the difference and its "interval", that of the paired
      bootstrap.
      What does not exist is None.
    """
    metrics = measured(rows)
    columns = {
        (*pair, metric.symbol): percentages(group, metric)
        for pair, group in group_rows(without_curves(rows)).items()
        for metric in metrics
    }
    pairs = list(dict.fromkeys((attribution, pooling) for attribution, pooling, _ in columns))
    poolings = order_poolings(list(dict.fromkeys(pooling for _, pooling in pairs)))
    compared = [
        (attribution, pooling, poolings[0])
        for attribution in dict.fromkeys(attribution for attribution, _ in pairs)
        for pooling in poolings[1:]
        if {(attribution, pooling), (attribution, poolings[0])} <= set(pairs)
    ]
    for attribution, pooling, first in compared:
        for metric in metrics:
            theirs, ours = (columns[attribution, name, metric.symbol] for name in (pooling, first))
            columns[attribution, f"{pooling} - {first}", metric.symbol] = theirs - ours
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
            {"attribution": attribution, "pooling": pooling, "against": first}
            | {
                metric.symbol: {
                    "mean": mean_present(columns[attribution, f"{pooling} - {first}", metric.symbol]),
                    "interval": found[attribution, f"{pooling} - {first}", metric.symbol],
                }
                for metric in metrics
            }
            for attribution, pooling, first in compared
        ],
    }
