"""Numbers of an image that only all images together tell, put into the rows once these are all there."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from castream_jax.evaluation.rows import group_rows
from castream_jax.metrics.metric import Metric


def settle_rows(rows: pa.Table, metrics: Iterable[Metric]) -> pa.Table:
    """Return the rows of all images with the numbers of `Metric.settle`, of each attribution and pooling by itself."""
    for metric in metrics:
        if metric.settle is None or rows[metric.column].null_count == rows.num_rows:
            continue
        names = (metric.column, *metric.columns)
        own = rows.select(["attribution", "pooling", *names])
        settled = np.full(rows.num_rows, np.nan)
        for group in group_rows(own.append_column("place", pa.array(np.arange(rows.num_rows)))).values():
            settled[group["place"].to_numpy()] = metric.settle({name: group[name].to_numpy() for name in names})
        field = rows.schema.field(metric.column)
        array = pa.array(settled, field.type, from_pandas=True)  # null for NaN
        rows = rows.set_column(rows.schema.get_field_index(metric.column), field, array)
    return rows
