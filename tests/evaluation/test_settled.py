"""Numbers that only all images together tell: of each map by itself, null without a box, all else untouched."""

import numpy as np
import pyarrow as pa

from castream_jax.attribution import METHODS
from castream_jax.evaluation.rows import percentages, read_rows, rows_schema, write_rows
from castream_jax.evaluation.settled import settle_rows
from castream_jax.metrics import METRICS
from castream_jax.metrics.box_accuracy import COLUMNS, settle
from tests.evaluation.synthetic import PAIRS, create_rows
from tests.goldens import assert_close

METRIC = METRICS["MaxBoxAcc"]
CHOSEN = [*(metric for metric in METRICS.values() if metric.by_default), METRIC]
SCHEMA = rows_schema(CHOSEN, tuple(METHODS.values()))


def create_measured(without: int = 1) -> pa.Table:
    """Return rows as they are measured, the first images having no box."""
    values = np.random.default_rng(3)
    records = create_rows(images=12).to_pylist()
    for record in records:
        known = record["label"] >= without
        record |= {name: values.uniform() if known else None for name in (METRIC.column, *COLUMNS)}
    return pa.Table.from_pylist(records, schema=SCHEMA)


def test_each_map_has_thresholds_of_its_own():
    rows = create_measured()
    settled = settle_rows(rows, CHOSEN)
    pairs = list(zip(rows["attribution"].to_pylist(), rows["pooling"].to_pylist()))
    for pair in PAIRS:
        own = pa.array([each == pair for each in pairs])
        before, after = rows.filter(own), settled.filter(own)
        expected = settle({name: before[name].to_numpy() for name in COLUMNS})
        assert_close(percentages(after, METRIC)[1:], 100 * expected[1:], absolute=1e-4)
        assert after[METRIC.column].null_count == 1
    assert settled.drop_columns([METRIC.column]).equals(rows.drop_columns([METRIC.column]))
    assert settled.schema.equals(rows.schema, check_metadata=True)


def test_they_are_written_and_read(tmp_path):
    settled = settle_rows(create_measured(), CHOSEN)
    write_rows(settled, tmp_path / "rows.parquet")
    assert read_rows(tmp_path / "rows.parquet").equals(settled)


def test_without_boxes_nothing_is_settled():
    rows = create_measured(without=12)
    assert settle_rows(rows, CHOSEN).equals(rows)
