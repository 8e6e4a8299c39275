"""Two written evaluations are matched by name and id, and refused where they do not compare."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from castream_jax.errors import InputError
from castream_jax.evaluation.rows import write_rows
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.pairing import load_evaluation, pair_evaluations
from castream_jax.report.text import write_report
from tests.evaluation.synthetic import METRIC_COLUMNS, PAIRS, ROWS, create_localised_rows, create_report, create_rows


def write(directory, rows, **changes):
    """Write rows and their report, and return the directory."""
    write_rows(rows, directory / "rows.parquet")
    write_report(create_report(rows, **changes), directory)
    return directory


def load(directory, rows, **changes):
    """Return what `write` wrote, read back."""
    return load_evaluation(write(directory, rows, **changes))


def change(rows, edit):
    """Return rows after a change to each of their records."""
    records = rows.to_pylist()
    for record in records:
        edit(record)
    return pa.Table.from_pylist(records, schema=ROWS)


def test_work_directory_evaluation_and_rows_are_the_same_thing(rows, tmp_path):
    directory = write(tmp_path / "evaluation" / "castream", rows)
    for path in (tmp_path, directory, directory / "rows.parquet"):
        found = load_evaluation(path)
        assert found.path == directory / "rows.parquet"
        assert found.rows.equals(rows)
        assert found.report["protocol"]["name"] == "castream"


def test_what_cannot_be_read_is_named(rows, tmp_path):
    with pytest.raises(InputError, match=r"there is no .*nowhere"):
        load_evaluation(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no rows\.parquet"):
        load_evaluation(tmp_path)
    directory = write(tmp_path / "evaluation" / "castream", rows)
    write(tmp_path / "evaluation" / "rise", rows, protocol=PROTOCOLS["rise"])
    with pytest.raises(InputError, match=r"several evaluations: name one of .*castream, .*rise"):
        load_evaluation(tmp_path)
    for text in ("{", "[]", "{}", '{"protocol": "castream"}', "\x00"):
        (directory / "report.json").write_text(text)
        with pytest.raises(InputError, match=r"report\.json, which names the protocol"):
            load_evaluation(directory)
    (directory / "report.json").unlink()
    with pytest.raises(InputError, match=r"report\.json, which names the protocol"):
        load_evaluation(directory)
    (directory / "report.json").write_text(json.dumps(create_report(rows)))
    (directory / "rows.parquet").write_text("text")
    with pytest.raises(InputError, match=r"rows\.parquet as rows"):
        load_evaluation(directory)


def test_images_of_two_sizes_do_not_compare(rows, tmp_path):
    a = load(tmp_path / "a", rows)
    b = load(tmp_path / "b", rows, settings={"image_size": 448})
    with pytest.raises(InputError, match="images are of 224 and 448 pixels"):
        pair_evaluations(a, b)


def test_images_are_matched_by_id_whatever_their_order(tmp_path):
    rows = create_rows(images=6)
    a = load(tmp_path / "a", rows)
    n = len(PAIRS)
    b = load(tmp_path / "b", pa.concat_tables([rows.slice(n * i, n) for i in (5, 3, 1)]))
    pairing = pair_evaluations(a, b)
    assert pairing.images == 3
    assert list(pairing.cells) == list(PAIRS)
    assert pairing.unpaired == ([], [])
    records = rows.to_pylist()
    for pair, metrics in pairing.cells.items():
        for metric, (ours, theirs) in metrics.items():
            np.testing.assert_array_equal(ours, theirs)
            by_id = {r["id"]: r[metric.column] for r in records if (r["attribution"], r["pooling"]) == pair}
            np.testing.assert_allclose(ours, [100 * by_id[f"image {i}"] for i in (1, 3, 5)], rtol=1e-12)


def test_only_what_both_have_is_paired(tmp_path):
    a = load(tmp_path / "a", create_localised_rows(PAIRS[:3], masks=4))
    b = load(tmp_path / "b", create_localised_rows((*PAIRS[2:], PAIRS[0]), masks=2))
    pairing = pair_evaluations(a, b)
    assert list(pairing.cells) == [PAIRS[0], PAIRS[2]]
    assert pairing.unpaired == (["grad_cam/ca"], ["grad_cam_pp/ca", "score_cam/gap", "score_cam/ca", "attention/ca"])
    for metrics in pairing.cells.values():
        assert len(metrics) == 9
        for metric, values in metrics.items():
            missing = [np.isnan(side).sum() for side in values]
            assert missing == ([3, 3] if metric.column.startswith(("iou", "pointing", "energy")) else [0, 0])
    plain = load(tmp_path / "c", create_rows(PAIRS[:1]))
    assert len(pair_evaluations(a, plain).cells[PAIRS[0]]) == 5


def test_what_does_not_compare_is_refused(rows, tmp_path):
    a = load(tmp_path / "a", rows)
    with pytest.raises(InputError, match=r"protocols differ, castream \(hash \w+\) and rise \(hash \w+\)"):
        pair_evaluations(a, load(tmp_path / "b", rows, protocol=PROTOCOLS["rise"]))
    localised = create_localised_rows(PAIRS[:1])
    sides = [load(tmp_path / by, localised, settings={"image_size": 224, "truth": by}) for by in ("boxes", "masks")]
    alone = [replace(side, rows=localised.drop_columns(list(METRIC_COLUMNS))) for side in sides]
    with pytest.raises(InputError, match="where boxes and masks say, and no other metric is in both"):
        pair_evaluations(*alone)
    with pytest.raises(InputError, match="no attribution and pooling in common"):
        pair_evaluations(load(tmp_path / "c", create_rows(PAIRS[:1])), load(tmp_path / "d", create_rows(PAIRS[1:2])))
    with pytest.raises(InputError, match="no attribution and pooling in common"):
        pair_evaluations(a, load(tmp_path / "e", rows.slice(0, 0)))
    renamed = change(rows, lambda record: record.update(id=f"other {record['id']}"))
    with pytest.raises(InputError, match="no image in common"):
        pair_evaluations(a, load(tmp_path / "f", renamed))
    labelled = change(rows, lambda record: record.update(label=7))
    with pytest.raises(InputError, match="two datasets"):
        pair_evaluations(a, load(tmp_path / "g", labelled))
    same = change(rows, lambda record: record.update(id="one"))
    with pytest.raises(InputError, match="ids must be unique"):
        pair_evaluations(a, load(tmp_path / "h", same))
