"""The record of an evaluation: one row for each image, attribution and pooling, from which every mean is taken."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float

from castream_jax.attribution import METHODS
from castream_jax.attribution.method import Method
from castream_jax.errors import InputError
from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric
from castream_jax.storage.replacement import replacing

RECORDS = b"castream_jax"
"""The key of the schema's metadata under which the records of metrics and methods are, without their functions."""


def rows_schema(metrics: Sequence[Metric], methods: Sequence[Method]) -> pa.Schema:
    """Return the columns of an evaluation's rows, with the records of what they are.

    One image under one attribution and pooling; probabilities and metrics are fractions in 0..1 (METHOD 3).

    `explained_class` is the class that the map and the metrics are of, `predicted_class` the pooling's own answer; -1
    where that is not a number.

    `flat` says that the map was constant and became zeros, `nan` that it held a NaN or an infinity and became zeros,
    `all_negative` that it had no positive value before its ReLU, which left nothing: such a map is flat too. The last
    two are null where nobody looked.

    Of pictures of several labels, a row is of one class of one image, and a column `image_id` beside `id` says which
    image (`row_images`).

    Metrics that need to know where the object is are null for an image without a mask or box, and what a method says
    of its maps (`Method.columns`) is null for other methods.
    """
    others = {name: metric.needs_truth for metric in metrics for name in metric.columns}
    said = dict.fromkeys(name for method in methods for name in method.columns)
    records = {"metrics": [to_facts(metric) for metric in metrics], "methods": [to_facts(method) for method in methods]}
    return pa.schema(
        [
            *BASE,
            pa.field("probability", pa.float32(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=nullable) for name, nullable in others.items()),
            *(pa.field(metric.column, pa.float32(), nullable=metric.needs_truth) for metric in metrics),
            *(pa.field(name, pa.float32()) for name in said),
            *FLAGS,
            *(
                pa.field(metric.curve_column, pa.list_(pa.float32()), nullable=False)
                for metric in metrics
                if metric.curve
            ),
        ],
        metadata={RECORDS: json.dumps(records)},
    )


BASE = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("label", pa.int32(), nullable=False),
    pa.field("pooling", pa.string(), nullable=False),
    pa.field("attribution", pa.string(), nullable=False),
    pa.field("explained_class", pa.int32(), nullable=False),
    pa.field("predicted_class", pa.int32(), nullable=False),
]
FLAGS = [pa.field(name, pa.bool_(), nullable=False) for name in ("flat", "nan", "all_negative")]


def to_facts(record: Metric | Method) -> dict[str, Any]:
    """Return what a record says of itself, without its functions, ready for JSON."""
    facts = {item.name: getattr(record, item.name) for item in fields(record)}
    facts = {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}
    return {name: dict(v) if name == "options" else v for name, v in facts.items() if not callable(v)}


def find_records(schema: pa.Schema) -> tuple[list[Metric], list[Method]]:
    """Return the records that `rows_schema` left, without their functions; of rows from before they were kept, none."""
    said = json.loads((schema.metadata or {}).get(RECORDS, b"{}"))

    def create(kind: type, facts: dict[str, Any]) -> Any:
        names = {item.name for item in fields(kind)}
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
        return kind(**{name: value for name, value in lists.items() if name in names})

    return (
        [create(Metric, facts) for facts in said.get("metrics", [])],
        [create(Method, facts) for facts in said.get("methods", [])],
    )


def learn_records(schema: pa.Schema) -> None:
    """Let this process know the records of metrics and methods that are a user's own, as rows name them."""
    metrics, methods = find_records(schema)
    for metric in metrics:
        METRICS.setdefault(metric.symbol, metric)
    for method in methods:
        METHODS.setdefault(method.key, method)


def write_rows(table: pa.Table, path: str | Path) -> None:
    """Write per-image rows as one Parquet file that appears all at once.

    Raises:
      ValueError: a column is missing, of another type than `rows_schema` says, or holds nulls.
    """
    schema = rows_schema(*find_records(table.schema))
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"rows lack the columns {missing}: expected {schema.names}.")
    strict = [schema.field(field.name) if field.name in schema.names else field for field in table.schema]
    table = table.cast(pa.schema(strict, table.schema.metadata))
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_rows(path: str | Path) -> pa.Table:
    """Return the per-image rows of a file.

    Raises:
      InputError: no such file, no Parquet file, or columns that no evaluation writes.
    """
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        schema = rows_schema(*find_records(table.schema))
        learn_records(table.schema)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pa.ArrowInvalid is a ValueError
        raise InputError(f"cannot read {path} as rows of an evaluation: {error}. Run the evaluation again.") from error
    types = {field.name: field.type for field in schema}
    wrong = [name for name, kind in types.items() if name not in table.column_names or table[name].type != kind]
    numbers = (pa.float32(), pa.list_(pa.float32()))
    wrong += [
        field.name
        for field in table.schema
        if field.name not in (*types, "image_id") and not any(field.type.equals(kind) for kind in numbers)
    ]
    if wrong:
        raise InputError(
            f"{path} holds the columns {table.column_names}, of which {wrong} are missing or of another type than "
            "rows of this version. Run the evaluation again."
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
    """Return the metrics that rows hold, of at least one image."""
    return tuple(
        metric
        for metric in METRICS.values()
        if metric.column in rows.column_names and rows[metric.column].null_count < rows.num_rows
    )


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


def count_undefined(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Return how often a metric is not defined and counts as 0, by symbol and "attribution/pooling"; none left out."""
    metrics = [metric for metric in measured(rows) if metric.undefined]
    groups = group_rows(without_curves(rows)).items() if metrics else ()
    counts = {
        metric.symbol: {"/".join(pair): int(np.nansum(group[metric.undefined].to_numpy())) for pair, group in groups}
        for metric in metrics
    }
    some = {symbol: {pair: n for pair, n in found.items() if n} for symbol, found in counts.items()}
    return {symbol: found for symbol, found in some.items() if found}


def count_localised(rows: pa.Table) -> dict[str, int]:
    """Return how many images each metric of where the object is could be taken of, by symbol; empty if none."""
    first = next(iter(group_rows(without_curves(rows)).values()), rows)
    metrics = [metric for metric in measured(rows) if metric.needs_truth]
    return {metric.symbol: first.num_rows - first[metric.column].null_count for metric in metrics}


def collect_remarks(rows: pa.Table) -> dict[str, dict[str, str]]:
    """Return what methods have to say of all their maps, by attribution and pooling."""
    remarks: dict[str, dict[str, str]] = {}
    for method in METHODS.values():
        if method.remark is None or not set(method.columns) <= set(rows.column_names):
            continue
        own = rows.select(["attribution", "pooling", *method.columns])
        own = own.filter(pc.equal(own["attribution"], method.key))
        said = [name for name in method.columns if own[name].null_count < own.num_rows]  # not all choices say all
        own = own.select(["attribution", "pooling", *said]).drop_null() if said else own.slice(0, 0)
        for (_, pooling), group in group_rows(own).items():
            values = {name: group[name].to_numpy().astype(np.float64) for name in said}
            remarks.setdefault(method.key, {})[pooling] = method.remark(values)
    return remarks


def without_curves(rows: pa.Table) -> pa.Table:
    """Return rows without what makes them large."""
    return rows.drop_columns([field.name for field in rows.schema if pa.types.is_list(field.type)])


def read_curves(rows: pa.Table, metric: str) -> Iterator[tuple[tuple[str, str], Float[np.ndarray, "n points"]]]:
    """Yield each (attribution, pooling) with the curve of every image, of the metric of a column such as "insertion".

    Points are class probabilities, float32, equally spaced from no pixel changed to all of them.
    """
    column = f"{metric}_curve"
    for pair, group in group_rows(rows.select(["attribution", "pooling", column])).items():
        yield pair, group[column].combine_chunks().flatten().to_numpy().reshape(group.num_rows, -1)


def mean_curves(rows: pa.Table, metric: str) -> dict[tuple[str, str], Float[np.ndarray, "points"]]:
    """Return the mean over images of the curves of each (attribution, pooling), as `read_curves` yields, in float64."""
    return {pair: curves.mean(axis=0, dtype=np.float64) for pair, curves in read_curves(rows, metric)}
