"""The record of an evaluation: one row for each image, attribution and pooling, from which every mean is taken."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float

from castream_jax.errors import InputError
from castream_jax.names import LOCALISATION, METRICS, Metric
from castream_jax.replacement import replacing

_FRACTIONS = ("probability", "masked_probability", *(metric.column for metric in METRICS))

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("pooling", pa.string(), nullable=False),
        pa.field("attribution", pa.string(), nullable=False),
        pa.field("explained_class", pa.int32(), nullable=False),
        pa.field("predicted_class", pa.int32(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in _FRACTIONS),
        *(pa.field(metric.column, pa.float32()) for metric in LOCALISATION),
        pa.field("score_cam_bound", pa.float32()),
        pa.field("score_cam_left_out", pa.float32()),
        pa.field("flat", pa.bool_(), nullable=False),
        pa.field("nan", pa.bool_(), nullable=False),
        pa.field("all_negative", pa.bool_(), nullable=False),
        pa.field("insertion_curve", pa.list_(pa.float32()), nullable=False),
        pa.field("deletion_curve", pa.list_(pa.float32()), nullable=False),
    ]
)
"""One image under one attribution and pooling; probabilities and metrics are fractions in 0..1 (METHOD 3).

`explained_class` is the class that the map and the metrics are of, `predicted_class` the pooling's own answer; -1 where
that is not a number.

`flat` says that the map was constant and became zeros, `nan` that it held a NaN or an infinity and became zeros,
`all_negative` that it had no positive value before its ReLU, which left nothing: such a map is flat too. The last two
are null where nobody looked.

The metrics of where the object is are null for an image without a mask or box. `score_cam_bound` is the most that a
pixel can have moved because channels were left out, relative to the map's maximum, and `score_cam_left_out` the share
of channels left out; null for other attributions.
"""


def write_rows(table: pa.Table, path: str | Path) -> None:
    """Write per-image rows as one Parquet file that appears all at once.

    Raises:
      ValueError: a column is missing, of another type than in `ROWS`, or holds nulls.
    """
    missing = [name for name in ROWS.names if name not in table.column_names]
    if missing:
        raise ValueError(f"rows lack the columns {missing}: expected {ROWS.names}.")
    table = table.select(ROWS.names).cast(ROWS)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_rows(path: str | Path) -> pa.Table:
    """Return the per-image rows of a file.

    Raises:
      InputError: no such file, no Parquet file, or other columns than `ROWS`.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"cannot read {path} as rows of an evaluation: {error}. Run the evaluation again.") from error
    if not table.schema.equals(ROWS):
        raise InputError(
            f"{path} holds the columns {table.column_names}: expected {ROWS.names} with the types of this version. "
            "Run the evaluation again."
        )
    return table


def group_rows(rows: pa.Table) -> dict[tuple[str, str], pa.Table]:
    """Return the rows of each (attribution, pooling), in order of first appearance."""
    keys = rows.select(["attribution", "pooling"]).group_by(["attribution", "pooling"], use_threads=False).aggregate([])
    return {
        (attribution, pooling): rows.filter(
            pc.and_(pc.equal(rows["attribution"], attribution), pc.equal(rows["pooling"], pooling))
        )
        for attribution, pooling in zip(keys["attribution"].to_pylist(), keys["pooling"].to_pylist())
    }


def count_images(rows: pa.Table) -> int:
    """Return the number of images, which must be the same ones in the same order for every attribution and pooling.

    Raises:
      ValueError: they are not: neither would their means compare, nor their differences be of the same images.
    """
    groups = {pair: group["id"] for pair, group in group_rows(rows.select(["id", "attribution", "pooling"])).items()}
    counts = {"/".join(pair): len(ids) for pair, ids in groups.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"rows cover different numbers of images, {counts}: their means would not compare.")
    first = next(iter(groups.values()), None)
    for pair, ids in groups.items():
        if not ids.equals(first):
            raise ValueError(f"rows of {'/'.join(pair)} are of other images, or in another order, than the first ones.")
    return max(counts.values(), default=0)


def measured(rows: pa.Table) -> tuple[Metric, ...]:
    """Return the metrics that rows hold: those of where the object is only if an image has a mask or box."""
    return METRICS + tuple(metric for metric in LOCALISATION if rows[metric.column].null_count < rows.num_rows)


def percentages(rows: pa.Table, metric: Metric) -> Float[np.ndarray, "n"]:
    """Return a metric of each row in percent, in float64; NaN where the image has no mask or box.

    If any value is not finite, all are NaN: a mean over the others would hide it.
    """
    column = rows[metric.column]
    values = 100 * column.to_numpy().astype(np.float64)
    broken = column.is_valid().to_numpy() & ~np.isfinite(values)
    return np.full_like(values, np.nan) if broken.any() else values


def mean_present(values: Float[np.ndarray, "n"]) -> float | None:
    """Return the mean of the values that are not NaN, or None if there is none."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else None


def summarise(rows: pa.Table) -> list[dict[str, str | float | None]]:
    """Return the means over images of each attribution and pooling, in percent, in order of first appearance.

    Each is a dictionary of "attribution", "pooling" and the symbols of `measured`: "AD", "AG", "AI", "I", "D", and so
    on. Means are taken in float64; one that is not finite is None.
    """
    metrics = measured(rows)
    return [
        {"attribution": attribution, "pooling": pooling}
        | {metric.symbol: mean_present(percentages(group, metric)) for metric in metrics}
        for (attribution, pooling), group in group_rows(without_curves(rows)).items()
    ]


def count_maps(rows: pa.Table, column: str) -> dict[str, int]:
    """Return how many maps were "flat", "nan" or "all_negative", by "attribution/pooling"."""
    groups = group_rows(rows.select(["attribution", "pooling", column]))
    return {"/".join(pair): pc.sum(group[column]).as_py() or 0 for pair, group in groups.items()}


def count_localised(rows: pa.Table) -> dict[str, int]:
    """Return how many images each metric of where the object is could be taken of, by symbol; empty if none."""
    first = next(iter(group_rows(without_curves(rows)).values()), rows)
    metrics = [metric for metric in measured(rows) if metric in LOCALISATION]
    return {metric.symbol: first.num_rows - first[metric.column].null_count for metric in metrics}


def summarise_pruning(rows: pa.Table) -> dict[str, dict[str, float | None]]:
    """Return what pruning did to Score-CAM, by pooling, in percent; empty if no row tells.

    Each is a dictionary of "mean_bound" and "worst_bound" (`score_cam_bound` over images; None if that of an image is
    infinite), and "left_out" (the mean of `score_cam_left_out`).
    """
    columns = ["attribution", "pooling", "score_cam_bound", "score_cam_left_out"]
    found: dict[str, dict[str, float | None]] = {}
    for (_, pooling), group in group_rows(rows.select(columns).drop_null()).items():
        bounds = 100 * group["score_cam_bound"].to_numpy().astype(np.float64)
        left_out = 100 * group["score_cam_left_out"].to_numpy().astype(np.float64)
        means = {"mean_bound": bounds.mean(), "worst_bound": bounds.max(), "left_out": left_out.mean()}
        found[pooling] = {name: float(value) if np.isfinite(value) else None for name, value in means.items()}
    return found


def without_curves(rows: pa.Table) -> pa.Table:
    """Return rows without what makes them large."""
    return rows.drop_columns(["insertion_curve", "deletion_curve"])


def read_curves(rows: pa.Table, metric: str) -> Iterator[tuple[tuple[str, str], Float[np.ndarray, "n points"]]]:
    """Yield each (attribution, pooling) with the "insertion" or "deletion" curve of every image.

    Points are class probabilities, float32, equally spaced from no pixel changed to all of them.
    """
    column = f"{metric}_curve"
    for pair, group in group_rows(rows.select(["attribution", "pooling", column])).items():
        yield pair, group[column].combine_chunks().flatten().to_numpy().reshape(group.num_rows, -1)


def mean_curves(rows: pa.Table, metric: str) -> dict[tuple[str, str], Float[np.ndarray, "points"]]:
    """Return the mean over images of the curves of each (attribution, pooling), as `read_curves` yields, in float64."""
    return {pair: curves.mean(axis=0, dtype=np.float64) for pair, curves in read_curves(rows, metric)}
