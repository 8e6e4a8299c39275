"""What stands where in the tables of a report, and what is marked."""

import pyarrow as pa
import pytest

from castream_jax.report.statistics import FEWEST
from castream_jax.report.tables import (
    ABSENT,
    excludes_zero,
    format_difference,
    format_interval,
    format_number,
    split,
    tabulate,
)
from tests.evaluation.synthetic import (
    METRIC_COLUMNS,
    NULL_PAIRS,
    PAIRS,
    ROWS,
    create_localised_rows,
    create_report,
    create_rows,
)

SYMBOLS = ("AD", "AG", "AI", "I", "D")


def compare(gains: dict[str, float], margin=1.0, images=FEWEST):
    """Return a report of one attribution, CA's gains over GAP being given, each give or take a margin."""
    report = create_report(create_rows(PAIRS[:2], images=2))
    for symbol, gain in gains.items():
        interval = [gain - margin, gain + margin]
        difference = {"mean": gain, "interval": interval, "images": images, "p": 0.01, "survives_holm": False}
        report["differences"][0][symbol] = difference
    return report


def marked(report, pooling):
    """Return which metrics are marked for a pooling of the only attribution."""
    (cells,) = [cells for _, found, cells in tabulate(report)[0].sections[0].lines if found == pooling]
    return [symbol for symbol, cell in zip(SYMBOLS, cells, strict=True) if cell.is_marked]


def test_a_table_is_split_by_its_metrics():
    (table,) = tabulate(create_report(create_rows(PAIRS)))
    first, second = split(table, 3)
    assert [metric.symbol for metric in (*first.metrics, *second.metrics)] == list(SYMBOLS)
    for whole, *parts in zip(table.sections, first.sections, second.sections, strict=True):
        for line, left, right in zip(whole.lines, *(part.lines for part in parts), strict=True):
            assert line == (*left[:2], left[2] + right[2])
            assert line[:2] == right[:2]


def test_sections_are_attributions_null_maps_and_differences():
    (table,) = tabulate(create_report(create_rows((*NULL_PAIRS, *PAIRS))))
    attributions, null, differences = table.sections
    assert [line[0] for line in attributions.lines] == [
        "Grad-CAM",
        "",
        "Grad-CAM++",
        "",
        "Score-CAM",
        "",
        "Raw attention",
    ]
    assert [line[1] for line in attributions.lines] == ["GAP", "CA", "GAP", "CA", "GAP", "CA", "CA"]
    assert [line[0] for line in null.lines][::2] == ["Random", "Centred Gaussian", "Constant", "All but one pixel"]
    assert [line[0] for line in differences.lines] == [
        *("Grad-CAM", "Grad-CAM++", "Score-CAM"),
        *("Random", "Centred Gaussian", "Constant", "All but one pixel"),
    ]
    assert not any(cell.is_marked for *_, cells in null.lines for cell in cells)
    assert all(len(cells) == 5 for section in table.sections for *_, cells in section.lines)


def test_cells_hold_the_means_and_intervals_of_the_report():
    report = create_report(create_rows(images=FEWEST))
    (table,) = tabulate(report)
    for (*_, cells), means, intervals in zip(table.sections[0].lines, report["rows"], report["intervals"], strict=True):
        assert [cell.text for cell in cells] == [f"{means[symbol]:.2f}" for symbol in SYMBOLS]
        expected = [f"[{intervals[symbol][0]:.2f}, {intervals[symbol][1]:.2f}]" for symbol in SYMBOLS]
        assert [cell.interval for cell in cells] == expected
    for (*_, cells), line in zip(table.sections[1].lines, report["differences"], strict=True):
        assert [cell.text for cell in cells] == [f"{line[symbol]['mean']:+.2f}" for symbol in SYMBOLS]
        apart = [not line[symbol]["interval"][0] <= 0 <= line[symbol]["interval"][1] for symbol in SYMBOLS]
        assert [cell.is_marked for cell in cells] == apart


def test_where_the_object_is_has_a_table_where_there_are_masks(rows):
    assert len(tabulate(create_report(rows))) == 1
    needs, where = tabulate(create_report(create_localised_rows(masks=2)))
    assert [metric.symbol for metric in needs.metrics] == list(SYMBOLS)
    assert [metric.symbol for metric in where.metrics] == ["PG", "EPG", "IoU best", "IoU fixed"]
    assert len(where.sections) == 2


def test_the_better_pooling_follows_the_arrows():
    report = compare(dict.fromkeys(SYMBOLS, 10.0))
    assert marked(report, "GAP") == ["AD", "D"]
    assert marked(report, "CA") == ["AG", "AI", "I"]


@pytest.mark.parametrize(("margin", "images"), [(20.0, FEWEST), (1.0, FEWEST - 1)])
def test_who_is_better_is_not_said_in_doubt(margin, images):
    """The interval holds 0, or it is of too few images to be believed."""
    report = compare(dict.fromkeys(SYMBOLS, 10.0), margin, images)
    assert marked(report, "GAP") == marked(report, "CA") == []
    assert not any(cell.is_marked for *_, cells in tabulate(report)[0].sections[1].lines for cell in cells)


def test_the_best_of_three_poolings():
    report = compare(dict.fromkeys(SYMBOLS, 10.0))
    means, intervals, differences = (report[name] for name in ("rows", "intervals", "differences"))
    for lines in (means, intervals, differences):
        lines.append(lines[-1] | {"pooling": "other"})
    for symbol, gain in zip(SYMBOLS, (-20.0, 20.0, 0.5, 5.0, 20.0), strict=True):
        interval = [gain - 1, gain + 1]
        differences[1][symbol] = differences[0][symbol] | {"mean": gain, "interval": interval}
    assert marked(report, "other") == ["AD", "AG"]
    assert marked(report, "CA") == ["AI", "I"]
    assert marked(report, "GAP") == ["D"]


def test_what_holms_correction_leaves_is_shown():
    report = compare(dict.fromkeys(SYMBOLS, 10.0))
    report["differences"][0]["AG"]["survives_holm"] = True
    ((_, _, cells),) = tabulate(report)[0].sections[1].lines
    assert [cell.is_sure for cell in cells] == [False, True, False, False, False]


def test_lines_of_zeros_are_folded():
    rows = create_rows((*PAIRS, *NULL_PAIRS)).to_pylist()
    for row in rows:
        if row["attribution"] in ("constant", "fake"):
            row.update(dict.fromkeys(METRIC_COLUMNS, 0.0))
    null = tabulate(create_report(pa.Table.from_pylist(rows, schema=ROWS)))[0].sections[1].lines
    assert [line[:2] for line in null[:4]] == [("Random", "GAP"), ("", "CA"), ("Centred Gaussian", "GAP"), ("", "CA")]
    assert null[4][:2] == ("Constant, All but one pixel", "all")
    assert {cell.text for cell in null[4][2]} == {"0.00"}
    assert len(null) == 5


def test_nothing_is_marked_without_a_comparison(rows):
    attention = tabulate(create_report(rows))[0].sections[0].lines[-1]
    assert not any(cell.is_marked for cell in attention[2])
    (table,) = tabulate(create_report(create_rows(PAIRS[0:6:2]), accuracy={"gap": 70.0}))
    (section,) = table.sections
    assert [pooling for _, pooling, _ in section.lines] == ["GAP"] * 3
    assert not any(cell.is_marked for *_, cells in section.lines for cell in cells)


def test_poolings_of_an_attribution_stand_together_gap_first():
    pairs = (("score_cam", "ca"), ("grad_cam", "ca"), ("score_cam", "gap"), ("grad_cam", "gap"))
    lines = tabulate(create_report(create_rows(pairs)))[0].sections[0].lines
    assert [line[:2] for line in lines] == [("Score-CAM", "GAP"), ("", "CA"), ("Grad-CAM", "GAP"), ("", "CA")]


def test_a_zero_has_no_sign():
    assert format_number(-0.001) == "0.00"
    assert format_difference(-0.001) == "0.00"
    assert format_difference(0.004) == "0.00"
    assert format_difference(0.006) == "+0.01"
    assert format_difference(-3.0) == "-3.00"
    assert format_interval((-0.001, 2.0)) == "[0.00, 2.00]"


def test_what_does_not_exist_is_a_dash_or_nothing():
    assert format_number(None) == format_difference(None) == ABSENT
    assert format_interval(None) == ""


@pytest.mark.parametrize(
    ("interval", "apart"),
    [
        ((0.1, 0.2), True),
        ((-0.2, -0.1), True),
        ((-1.0, 1.0), False),
        ((0.0, 0.0), False),
        ((0.0, 1.0), False),
        (None, False),
    ],
)
def test_zero_on_the_edge_is_not_excluded(interval, apart):
    assert excludes_zero(interval) is apart
