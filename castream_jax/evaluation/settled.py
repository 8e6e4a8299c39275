"""Numbers of an image that only all images together tell, put into the rows once these are all there."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from castream_jax.metrics.metric import Metric


def settle_rows(rows: pa.Table, metrics: Iterable[Metric]) -> pa.Table:
    """Return the rows of all images with the numbers of `Metric.settle`, of each attribution and pooling by itself."""
    for metric in metrics:
        if metric.settle is None or rows[metric.column].null_count == rows.num_rows:
            continue
        columns = {name: rows[name].to_numpy() for name in (metric.column, *metric.columns)}
        settled = np.full(rows.num_rows, np.nan)
        for places in _find_places(rows):
            settled[places] = metric.settle({name: values[places] for name, values in columns.items()})
        field = rows.schema.field(metric.column)
        array = pa.array(settled, field.type, from_pandas=True)  # null for NaN
        rows = rows.set_column(rows.schema.get_field_index(metric.column), field, array)
    return rows


def _find_places(rows: pa.Table) -> list[np.ndarray]:
    """Return where the rows of each attribution and pooling are."""
    pairs = list(zip(rows["attribution"].to_pylist(), rows["pooling"].to_pylist()))
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    of = np.array([numbers[pair] for pair in pairs])
    return [np.flatnonzero(of == number) for number in range(len(numbers))]
