"""The record of an evaluation: one row for each image, attribution and pooling, from which every mean is taken."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from castream_jax.errors import InputError
from castream_jax.evaluation.names import METRICS
from castream_jax.replacement import replacing

_FLOATS = (
    "probability",
    "masked_probability",
    "average_drop",
    "average_gain",
    "average_increase",
    "insertion",
    "deletion",
)

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("pooling", pa.string(), nullable=False),
        pa.field("attribution", pa.string(), nullable=False),
        pa.field("explained_class", pa.int32(), nullable=False),
        pa.field("predicted_class", pa.int32(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in _FLOATS),
        pa.field("flat", pa.bool_(), nullable=False),
        pa.field("insertion_curve", pa.list_(pa.float32()), nullable=False),
        pa.field("deletion_curve", pa.list_(pa.float32()), nullable=False),
    ]
)
"""One image under one attribution and pooling; probabilities and metrics are fractions in 0..1 (METHOD 3).

`flat` says that the map was constant and became zeros. `explained_class` is the class that the map and the metrics
are of, `predicted_class` the pooling's own answer.
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
    attributions, poolings = np.asarray(rows["attribution"].to_pylist()), np.asarray(rows["pooling"].to_pylist())
    return {
        (attribution, pooling): rows.filter(pa.array((attributions == attribution) & (poolings == pooling)))
        for attribution, pooling in dict.fromkeys(zip(attributions.tolist(), poolings.tolist()))
    }


def count_images(rows: pa.Table) -> int:
    """Return the number of images, which must be the same for every attribution and pooling."""
    counts = {"/".join(pair): group.num_rows for pair, group in group_rows(rows).items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"rows cover different numbers of images, {counts}: their means would not compare.")
    return max(counts.values(), default=0)


def summarise(rows: pa.Table) -> list[dict[str, str | float | None]]:
    """Return the means over images of each attribution and pooling, in percent, in order of first appearance.

    Each is a dictionary of "attribution", "pooling", "AD", "AG", "AI", "I", "D". Means are taken in float64; one that
    is not finite is None.
    """
    table: list[dict[str, str | float | None]] = []
    for (attribution, pooling), group in group_rows(rows).items():
        line: dict[str, str | float | None] = {"attribution": attribution, "pooling": pooling}
        for metric in METRICS:
            mean = 100 * float(np.mean(group[metric.column].to_numpy(), dtype=np.float64))
            line[metric.symbol] = mean if np.isfinite(mean) else None
        table.append(line)
    return table


def flat_counts(rows: pa.Table) -> dict[str, int]:
    """Return how many maps were flat, by "attribution/pooling"."""
    return {"/".join(pair): int(np.sum(group["flat"].to_numpy())) for pair, group in group_rows(rows).items()}


def mean_curves(rows: pa.Table, metric: str) -> dict[tuple[str, str], Float[np.ndarray, "points"]]:
    """Return the mean over images of the "insertion" or "deletion" curve of each (attribution, pooling).

    Points are class probabilities, equally spaced from no pixel changed to all of them, in float64.
    """
    curves = {}
    for pair, group in group_rows(rows).items():
        values = group[f"{metric}_curve"].combine_chunks().flatten().to_numpy()
        curves[pair] = values.reshape(group.num_rows, -1).mean(axis=0, dtype=np.float64)
    return curves
