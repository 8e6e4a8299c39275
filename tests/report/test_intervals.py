"""Intervals of the table: of the same means, of the same images, in the order of the summary."""

import numpy as np
import pytest

from castream_jax.evaluation.rows import group_rows, summarise
from castream_jax.report.intervals import bootstrap_table
from castream_jax.report.statistics import bootstrap_intervals
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, create_localised_rows, create_rows


def test_intervals_stand_in_the_order_of_the_means_and_hold_them():
    rows = create_localised_rows((*PAIRS, *NULL_PAIRS), images=30)
    means, found = summarise(rows), bootstrap_table(rows, 300, 0)
    assert len(found["intervals"]) == len(PAIRS) + len(NULL_PAIRS)
    for line, intervals in zip(means, found["intervals"], strict=True):
        assert line.keys() == intervals.keys()
        assert (line["attribution"], line["pooling"]) == (intervals["attribution"], intervals["pooling"])
        for symbol in ("AD", "AG", "AI", "I", "D", "PG", "EPG", "IoU best", "IoU fixed"):
            low, high = intervals[symbol]
            assert low < line[symbol] < high


def test_differences_are_of_attributions_under_both_poolings(rows):
    found = bootstrap_table(rows, 300, 0)["differences"]
    assert [line["attribution"] for line in found] == ["grad_cam", "grad_cam_pp", "score_cam"]
    means = {(line["attribution"], line["pooling"]): line for line in summarise(rows)}
    for line in found:
        gap, ca = means[line["attribution"], "gap"], means[line["attribution"], "ca"]
        for symbol in ("AD", "AG", "AI", "I", "D"):
            assert line[symbol]["mean"] == pytest.approx(ca[symbol] - gap[symbol], abs=1e-10)


def test_intervals_of_differences_are_those_of_one_column_of_differences(rows):
    line = bootstrap_table(rows, 300, 4)["differences"][0]
    groups = group_rows(rows)
    gap, ca = (100 * groups["grad_cam", pooling]["deletion"].to_numpy().astype(float) for pooling in ("gap", "ca"))
    (expected,) = bootstrap_intervals((ca - gap)[:, None], 300, 4)
    np.testing.assert_allclose(line["D"]["interval"], expected)


def test_equal_maps_differ_by_nothing():
    rows = create_rows(average_drop=0.25)
    line = bootstrap_table(rows, 300, 0)["differences"][0]
    same = {"mean": 0.0, "interval": [0.0, 0.0], "images": len(rows) // len(PAIRS), "p": 1.0, "survives_holm": False}
    assert line["AD"] == same


def test_what_does_not_exist_is_none():
    found = bootstrap_table(create_rows(insertion=float("nan")), 100, 0)
    assert found["intervals"][0]["I"] is None
    assert found["intervals"][0]["D"] is not None
    nothing = {"mean": None, "interval": None, "images": 0, "p": None, "survives_holm": False}
    assert found["differences"][0]["I"] == nothing
    one = bootstrap_table(create_rows(images=1), 100, 0)
    assert one["intervals"][0]["AD"] is None
    assert one["differences"][0]["AD"]["mean"] is not None
    assert one["differences"][0]["AD"]["p"] is None
    gap = bootstrap_table(create_rows(PAIRS[0:6:2]), 100, 0)
    assert gap["differences"] == []
    assert bootstrap_table(create_rows(images=0), 100, 0) == {"intervals": [], "differences": []}
