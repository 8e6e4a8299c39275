"""The per-image record: what is written comes back, and its means are means."""

import collections

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from castream_jax.errors import InputError
from castream_jax.evaluation.rows import (
    collect_remarks,
    count_images,
    count_localised,
    count_maps,
    group_rows,
    mean_curves,
    mean_present,
    measured,
    percentages,
    read_rows,
    summarise,
    write_rows,
)
from tests.evaluation.synthetic import LOCALISATION_COLUMNS, PAIRS, ROWS, create_localised_rows, create_rows


def test_written_rows_come_back_and_leave_no_temporary(rows, tmp_path):
    directory = tmp_path / "lr=0.1"  # pyarrow would read such a name as a column
    write_rows(rows, directory / "rows.parquet")
    assert read_rows(directory / "rows.parquet").equals(rows)
    assert [path.name for path in directory.iterdir()] == ["rows.parquet"]


def test_what_an_image_has_not_comes_back_as_null(tmp_path):
    rows = create_localised_rows(images=3, masks=2)
    write_rows(rows, tmp_path / "rows.parquet")
    read = read_rows(tmp_path / "rows.parquet")
    assert read.equals(rows)
    for name in LOCALISATION_COLUMNS:
        assert read[name].null_count == len(PAIRS)
    assert read["score_cam_bound"].null_count == read.num_rows


def test_file_is_readable_without_this_package_and_compressed(rows, tmp_path):
    write_rows(rows, tmp_path / "rows.parquet")
    group = pq.ParquetFile(tmp_path / "rows.parquet").metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}
    assert pq.read_table(tmp_path / "rows.parquet").schema.names == ROWS.names


def test_a_failed_write_keeps_the_old_file(rows, tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    write_rows(rows, path)

    def fail(table, where, **options):
        where.write_bytes(b"half of a file")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_rows(create_rows(images=1), path)
    assert read_rows(path).equals(rows)
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.parquet"]


def test_rows_that_break_the_schema_are_refused(rows, tmp_path):
    with pytest.raises(ValueError, match="average_drop"):
        write_rows(rows.drop_columns(["average_drop"]), tmp_path / "rows.parquet")
    nulls = pa.array([None] * rows.num_rows, pa.float32())
    with pytest.raises(ValueError, match="insertion"):
        write_rows(rows.set_column(rows.column_names.index("insertion"), "insertion", nulls), tmp_path / "rows.parquet")
    assert not list(tmp_path.iterdir())


def test_unreadable_files_are_named(rows, tmp_path):
    with pytest.raises(InputError, match=r"missing\.parquet"):
        read_rows(tmp_path / "missing.parquet")
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(InputError, match=r"text\.parquet"):
        read_rows(tmp_path / "text.parquet")
    pq.write_table(rows.drop_columns(["flat"]), tmp_path / "old.parquet")
    with pytest.raises(InputError, match=r"old\.parquet holds the columns"):
        read_rows(tmp_path / "old.parquet")
    pq.write_table(rows.drop_columns(["average_drop"]), tmp_path / "less.parquet")
    with pytest.raises(InputError, match=r"of which \['average_drop'\] are missing"):
        read_rows(tmp_path / "less.parquet")


def test_means_equal_plain_sums_over_the_file(rows, tmp_path):
    write_rows(rows, tmp_path / "rows.parquet")
    sums, counts = collections.defaultdict(float), collections.Counter()
    columns = {"AD": "average_drop", "AG": "average_gain", "AI": "average_increase", "I": "insertion", "D": "deletion"}
    for row in pq.read_table(tmp_path / "rows.parquet").to_pylist():
        counts[row["attribution"], row["pooling"]] += 1
        for symbol, column in columns.items():
            sums[row["attribution"], row["pooling"], symbol] += row[column]
    table = summarise(read_rows(tmp_path / "rows.parquet"))
    assert [(line["attribution"], line["pooling"]) for line in table] == list(PAIRS)
    for line in table:
        pair = line["attribution"], line["pooling"]
        for symbol in columns:
            assert line[symbol] == pytest.approx(100 * sums[*pair, symbol] / counts[pair], rel=1e-12)


def test_means_are_taken_in_float64():
    value = np.float32(0.1)
    line = summarise(create_rows(pairs=PAIRS[:1], images=1000, average_drop=value))[0]
    assert line["AD"] == pytest.approx(100 * float(value), rel=1e-14)


def test_a_mean_that_is_not_finite_is_none():
    line = summarise(create_rows(pairs=PAIRS[:1], insertion=float("nan")))[0]
    assert line["I"] is None
    assert line["D"] is not None


def test_order_is_that_of_first_appearance():
    pairs = (("score_cam", "ca"), ("attention", "ca"), ("grad_cam", "gap"))
    rows = create_rows(pairs)
    assert tuple((line["attribution"], line["pooling"]) for line in summarise(rows)) == pairs
    assert tuple(group_rows(rows)) == pairs


def test_metrics_of_where_the_object_is_are_there_with_the_first_mask(rows):
    assert [metric.symbol for metric in measured(rows)] == ["AD", "AG", "AI", "I", "D"]
    assert set(summarise(rows)[0]) == {"attribution", "pooling", "AD", "AG", "AI", "I", "D"}
    localised = create_localised_rows(masks=1)
    assert [metric.column for metric in measured(localised)[5:]] == list(LOCALISATION_COLUMNS)
    assert summarise(localised)[0]["PG"] == pytest.approx(100 * localised["pointing_game"][0].as_py())


def test_means_leave_out_images_without_a_mask():
    rows = create_localised_rows(masks=3)
    line = summarise(rows)[1]
    values = [row["iou_best"] for row in rows.to_pylist()[1 :: len(PAIRS)]]
    assert values[3:] == [None, None]
    assert line["IoU best"] == pytest.approx(100 * sum(values[:3]) / 3)
    assert count_localised(rows) == {"PG": 3, "EPG": 3, "IoU best": 3, "IoU fixed": 3}
    assert count_localised(create_rows()) == {}


def test_one_broken_value_breaks_its_mean_but_a_missing_one_does_not():
    rows = create_localised_rows(pairs=PAIRS[:1], masks=4)
    metric = measured(rows)[5]
    values = percentages(rows, metric)
    assert np.isnan(values).tolist() == [False] * 4 + [True]
    broken = rows["pointing_game"].to_pylist()
    for wrong in (float("nan"), float("inf")):
        changed = pa.array([wrong, *broken[1:]], pa.float32())
        table = rows.set_column(rows.column_names.index("pointing_game"), ROWS.field("pointing_game"), changed)
        assert np.isnan(percentages(table, metric)).all()
        assert summarise(table)[0]["PG"] is None
    assert mean_present(np.array([np.nan, 1.0, 3.0])) == 2.0
    assert mean_present(np.array([np.nan])) is None


@pytest.mark.parametrize(
    ("column", "pair", "count"),
    [("flat", "grad_cam/ca", 2), ("nan", "score_cam/gap", 1), ("all_negative", "grad_cam/ca", 1)],
)
def test_odd_maps_are_counted_for_every_pair(rows, column, pair, count):
    counts = count_maps(rows, column)
    assert counts == {f"{method}/{pooling}": 0 for method, pooling in PAIRS} | {pair: count}


def test_maps_that_nobody_looked_at_are_not_counted():
    assert set(count_maps(create_rows(nan=None), "nan").values()) == {0}


def test_pruning_is_summed_up_by_pooling():
    assert collect_remarks(create_rows()) == {}
    records = create_rows(images=2).to_pylist()
    for record in records:
        if record["attribution"] == "score_cam":
            half = record["pooling"] == "ca"
            record |= {"score_cam_bound": 0.02 * record["label"], "score_cam_left_out": 0.5 if half else 0.25}
    found = collect_remarks(pa.Table.from_pylist(records, schema=ROWS))
    assert list(found) == ["score_cam"]
    assert list(found["score_cam"]) == ["gap", "ca"]
    assert found["score_cam"]["gap"] == (
        "25 % of channels left out; no position moves by more than 1 % of the map's maximum, mean over images, "
        "2 % in the worst."
    )
    assert found["score_cam"]["ca"].startswith("50 % of channels left out; ")
    endless = collect_remarks(create_rows(score_cam_bound=float("inf"), score_cam_left_out=0.5))
    assert endless["score_cam"]["gap"] == (
        "50 % of channels left out; no position moves by more than — of the map's maximum, mean over images, "
        "— in the worst."
    )


def test_images_are_counted_and_unequal_ones_refused(rows):
    assert count_images(rows) == 5
    assert count_images(rows.slice(0, 0)) == 0
    with pytest.raises(ValueError, match="different numbers of images"):
        count_images(rows.slice(1))
    records = rows.to_pylist()
    records[1]["id"] = "another"
    with pytest.raises(ValueError, match="rows of grad_cam/ca are of other images"):
        count_images(pa.Table.from_pylist(records, schema=ROWS))
    chunked = pa.concat_tables([rows.slice(0, 9), rows.slice(9)])
    assert count_images(chunked) == 5


def test_mean_curves_are_means_over_images(rows):
    curves = mean_curves(pa.concat_tables([rows.slice(0, 9), rows.slice(9)]), "insertion")
    assert list(curves) == list(PAIRS)
    for (method, pooling), curve in curves.items():
        records = [r for r in rows.to_pylist() if (r["attribution"], r["pooling"]) == (method, pooling)]
        expected = [sum(r["insertion_curve"][point] for r in records) / len(records) for point in range(4)]
        np.testing.assert_allclose(curve, expected, rtol=1e-12)
