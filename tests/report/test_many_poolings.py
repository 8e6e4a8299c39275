"""A report of six poolings: all of them everywhere, in one order, each compared with GAP, and all of it to be read."""

import itertools
import re

import numpy as np
import pytest

from castream_jax.evaluation.rows import group_rows
from castream_jax.metrics import METRICS
from castream_jax.report.curves_svg import build_curves
from castream_jax.report.headings import count_differences
from castream_jax.report.intervals import choose_resamples
from castream_jax.report.notes import describe_accuracies, describe_bootstrap, describe_maps
from castream_jax.report.schema import Report
from castream_jax.report.selection import choose_images
from castream_jax.report.statistics import RESAMPLES, fewest_resamples, survive_holm
from castream_jax.report.tables import tabulate
from castream_jax.report.text import render_markdown, render_terminal
from tests.evaluation.synthetic import create_report, create_rows
from tests.report.many import ATTENDING, NAMES, POOLINGS, create_many_rows

EXPLAINED, NULL = (
    ("Grad-CAM", "Grad-CAM++", "Score-CAM"),
    ("Random", "Centred Gaussian", "Constant", "All but one pixel"),
)
SYMBOLS = ("AD", "AG", "AI", "I", "D")


@pytest.fixture(scope="module")
def report() -> Report:
    """Return a report of six poolings, GAP among the last in the rows."""
    rows = create_many_rows(images=25)
    accuracy = {pooling: 70.0 + i for i, pooling in enumerate(POOLINGS)}
    return create_report(rows, accuracy=accuracy, untrained_accuracy=dict.fromkeys(POOLINGS[1:], 0.1))


def test_every_attribution_has_all_poolings_in_one_order(report):
    attributions, null, _ = tabulate(report)[0].sections
    found: dict[str, list[str]] = {}
    for section in (attributions, null):
        for name, pooling, _ in section.lines:
            found.setdefault(name or list(found)[-1], []).append(pooling)
    attention = [name for name, pooling in zip(NAMES, POOLINGS, strict=True) if pooling in ATTENDING]
    assert found == dict.fromkeys((*EXPLAINED, *NULL), NAMES) | {"Raw attention": attention}


def test_each_pooling_is_compared_with_gap_under_every_attribution(report):
    *_, differences = tabulate(report)[0].sections
    assert differences.title == "Each pooling minus GAP on the same images."
    assert [pooling for _, pooling, _ in differences.lines] == NAMES[1:] * 7
    assert [name for name, *_ in differences.lines if name] == [*EXPLAINED, *NULL]
    assert {line["against"] for line in report["differences"]} == {"gap"}
    means = {(line["attribution"], line["pooling"]): line for line in report["rows"]}
    for line in report["differences"]:
        pair, first = (line["attribution"], line["pooling"]), (line["attribution"], "gap")
        for symbol in SYMBOLS:
            assert line[symbol]["mean"] == pytest.approx(means[pair][symbol] - means[first][symbol], abs=1e-4)
            assert line[symbol]["interval"]
            assert 0 < line[symbol]["p"] <= 1


def test_holms_correction_is_for_all_differences_and_says_how_many(report):
    told = [line[symbol] for line in report["differences"] for symbol in SYMBOLS]
    assert len(told) == 5 * 7 * 5 == count_differences(report)
    assert [each["survives_holm"] for each in told] == survive_holm([each["p"] for each in told])
    *_, differences = tabulate(report)[0].sections
    assert "by Holm's correction for all 175 differences of this report" in differences.meaning


def test_resamples_are_as_many_as_holms_correction_needs():
    for count in (1, 250, 251, 4_000):
        enough = fewest_resamples(count)
        assert survive_holm([2 / (enough + 1)] * count) == [True] * count
        assert survive_holm([2 / (enough - 1)] * count) == [False] * count
    few, many = create_many_rows(nulls=False), create_many_rows()
    assert choose_resamples(few) == RESAMPLES
    columns = {name: 0.5 for name in ("pointing_game", "energy_pointing_game", "iou_best", "iou_fixed")}
    records = [record | columns for record in many.to_pylist()]
    assert choose_resamples(many.from_pylist(records, many.schema)) == 40 * 5 * 7 * 9 > RESAMPLES


def test_too_few_resamples_for_holm_are_told(report):
    assert "Holm's correction for 175 differences needs 7,000 resamples or more" in describe_bootstrap(report)
    enough = report | {"bootstrap": report["bootstrap"] | {"resamples": 7_000}}
    assert "Holm" not in describe_bootstrap(enough)


def test_the_best_pooling_is_said_to_be_compared_with_gap_alone(report):
    meaning = tabulate(report)[0].sections[0].meaning
    assert "its difference from GAP excludes 0 (GAP itself: where those of all others do)" in meaning
    two = tabulate(create_report(create_rows()))[0].sections[0].meaning
    assert two == "the better of GAP and CA, where the interval of their difference excludes 0"


def test_images_where_any_pooling_is_far_from_gap():
    rows = create_many_rows(nulls=False, images=8)
    found = {category.title: category for category in choose_images(rows, 2)}["Poolings disagree"]
    values = {pair: group["average_drop"].to_numpy() for pair, group in group_rows(rows).items()}
    pairs = [pair for pair in values if pair[1] != "gap" and (pair[0], "gap") in values]
    distance = np.mean([np.abs(values[pair] - values[pair[0], "gap"]) for pair in pairs], axis=0)
    assert len(pairs) == 3 * 5
    assert list(found.images) == np.argsort(-distance, kind="stable")[:6].tolist()
    assert found.meaning == "By the size of each pooling's AD minus GAP's, mean over attributions and poolings."
    assert any(f": {name} " in reason for reason in found.images.values() for name in NAMES[1:])


def test_lines_have_the_stroke_of_their_pooling_whatever_the_attribution():
    _, ((_, panels), _) = build_curves(create_many_rows(images=3))
    places = {line.name: line.place for line in panels[0].lines}
    assert places == {name: place for place, name in enumerate(NAMES)}
    for panel in panels:
        assert all(places[line.name] == line.place for line in panel.lines)
        assert [line.name for line in panel.lines] == [name for name in NAMES if name in {x.name for x in panel.lines}]
    assert [line.name for line in panels[0].stacked] == [NAMES[1], *NAMES[:1:-1], "GAP"]  # the whole line lies lowest


def test_a_terminal_shows_all_of_it_in_120_columns(report):
    text = render_terminal(report)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert (
        lines.index("") < [i for i, line in enumerate(lines) if line.startswith("attribution  ")][-1] < 10
    )  # one table
    for start in ("SimPool", "Efficient", "Class attention"):
        assert sum(re.search(rf"  {start} +[+-]?\d", line) is not None for line in lines) == 8 + 7
    assert sum(re.search(r"  GeM \(p=4\) +[+-]?\d", line) is not None for line in lines) == 7 + 7
    wrapped = [(above, below) for above, below in itertools.pairwise(lines) if "CA (taps=stage3+ " in above]
    assert len(wrapped) == 8 + 7
    assert all(re.search(r"  stage4\) +\[", below) for _, below in wrapped)


def test_a_name_of_one_long_word_is_broken_and_loses_no_letter():
    pairs = (("grad_cam", "gap"), ("grad_cam", "a.module.of.ones.own:POOLING(with=options)"), ("grad_cam", "ca"))
    text = render_terminal(create_report(create_rows(pairs)))
    assert max(map(len, text.splitlines())) <= 120
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "  a.module.of.one " in line)
    said = "".join(re.search(r"  (\S+)", line)[1] for line in lines[start : start + 3])
    assert said == "a.module.of.ones.own:POOLING(with=options)"


def test_markdown_has_a_line_for_each(report):
    text = render_markdown(report)
    assert text.count("| GeM (p=4) |") == 7 + 7
    assert text.count("| CA (taps=stage3+stage4) |") == 8 + 7
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ")}
    assert 2 + len(SYMBOLS) + 1 in widths


def test_notes_name_every_pooling(report):
    assert describe_accuracies(report)[:2] == [("GAP", "70.00"), ("CA (taps=stage3+stage4)", "71.00")]
    assert describe_accuracies(report)[-1] == ("GeM (p=4), untrained", "0.10")
    assert "Grad-CAM CA (taps=stage3+stage4) 2" in describe_maps("Flat maps", report["flat_maps"])
    assert describe_maps("x", {"grad_cam/mine:POOL(kind=a/b)": 1}) == "x: Grad-CAM mine:POOL(kind=a/b) 1."


def test_numbers_are_those_of_their_pooling():
    rows = create_many_rows(images=4)
    report = create_report(rows)
    (line,) = [x for x in report["rows"] if (x["attribution"], x["pooling"]) == ("grad_cam", "ep")]
    records = [r for r in rows.to_pylist() if (r["attribution"], r["pooling"]) == ("grad_cam", "ep")]
    assert line["AD"] == pytest.approx(100 * np.mean([r[METRICS["AD"].column] for r in records]), rel=1e-6)
