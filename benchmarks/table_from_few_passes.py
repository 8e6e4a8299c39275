"""What estimating Score-CAM from few passes does to the table: python -m benchmarks.table_from_few_passes EXACT FEW.

Both are `rows.parquet` of an evaluation of the same images, network and protocol, FEW with `score_cam_passes`. For each
pooling and metric: both means in percent, and that of the differences image by image with its 95 % bootstrap interval.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from castream_jax.evaluation.rows import group_rows, measured, percentages, read_rows
from castream_jax.report.statistics import bootstrap_intervals

METHOD = "score_cam"


def read(rows: Path) -> dict[str, pa.Table]:
    """Return the rows of Score-CAM by pooling, in the order of ids."""
    groups = group_rows(read_rows(rows).sort_by("id"))
    return {pooling: group for (method, pooling), group in groups.items() if method == METHOD}


def main() -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description="Compares a table from few passes of Score-CAM with the exact one.")
    parser.add_argument("exact", type=Path)
    parser.add_argument("few", type=Path)
    chosen = parser.parse_args()
    exact, few = read(chosen.exact), read(chosen.few)
    print("| pooling | metric | exact | few | few less exact | 95 % interval |\n|---|---|---:|---:|---:|---:|")
    for pooling, rows in exact.items():
        if rows["id"] != few[pooling]["id"]:
            sys.exit(f"error: {chosen.few} is of other images than {chosen.exact}.")
        for metric in measured(rows):
            a, b = percentages(rows, metric), percentages(few[pooling], metric)
            (interval,) = bootstrap_intervals((b - a)[:, None])
            low, high = interval or (np.nan, np.nan)
            means = f"{np.nanmean(a):.2f} | {np.nanmean(b):.2f} | {np.nanmean(b - a):+.2f}"
            print(f"| {pooling} | {metric.symbol} | {means} | [{low:+.2f}, {high:+.2f}] |")
    print(f"\n{len(rows)} images.")


if __name__ == "__main__":
    main()
