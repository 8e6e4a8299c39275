"""The report: its JSON, its table in Markdown and in plain text."""

import json
import re

import pytest

from castream_jax.evaluation.report import ABSENT, render_markdown, render_terminal, tabulate, write_report
from castream_jax.evaluation.rows import summarise
from castream_jax.metrics.protocol import PROTOCOLS
from tests.evaluation.synthetic import METRIC_COLUMNS, PAIRS, create_report, create_rows


def pair_rows(gap: dict, ca: dict):
    """Return a report of one image under Grad-CAM with given metrics."""
    report = create_report(create_rows(PAIRS[:2], images=1))
    for line, changes in zip(report["rows"], (gap, ca), strict=True):
        line.update(dict.fromkeys(("AD", "AG", "AI", "I", "D"), 50.0) | changes)
    return report


def bold(report, pooling):
    """Return which metrics are marked for a pooling of Grad-CAM."""
    cells = tabulate(report)["Grad-CAM"][pooling]
    return [symbol for symbol, cell in zip(("AD", "AG", "AI", "I", "D"), cells, strict=True) if cell.is_better]


def test_json_has_the_schema_and_the_means(rows, tmp_path):
    report = create_report(rows, accuracy_num_images=50_000, untrained_accuracy={"ca": 0.1}, details={"chunk": 64})
    write_report(report, tmp_path / "new" / "directory")
    read = json.loads((tmp_path / "new" / "directory" / "report.json").read_text())
    assert read == report
    assert read["protocol"] == {"name": "castream", "hash": PROTOCOLS["castream"].hash}
    assert (read["network"], read["dataset"], read["split"]) == ("resnet50", "some <images>", "validation")
    assert read["num_images"] == 5
    assert read["accuracy"] == {"gap": 74.553, "ca": 74.699}
    assert read["accuracy_num_images"] == 50_000
    assert read["untrained_accuracy"] == {"ca": 0.1}
    assert read["rows"] == summarise(rows)
    assert read["flat_maps"]["grad_cam/ca"] == 2
    assert {"python", "jax", "flax", "castream_jax"} <= set(read["versions"])
    assert read["seconds"] == 3725.0
    assert read["protocol_choices"]["step_rows"] == PROTOCOLS["castream"].step_rows
    assert read["details"] == {"chunk": 64}
    assert (tmp_path / "new" / "directory" / "report.md").read_text() == render_markdown(report)
    assert len(list((tmp_path / "new" / "directory").iterdir())) == 2


def test_optional_numbers_are_left_out(rows):
    report = create_report(rows, accuracy={"gap": 70.0})
    assert "untrained_accuracy" not in report
    assert "accuracy_num_images" not in report
    assert report["accuracy"] == {"gap": 70.0}


def test_markdown_table_holds_the_means(rows):
    report = create_report(rows)
    text = render_markdown(report)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "| attribution | pooling | AD ↓ | AG ↑ | AI ↑ | I ↑ | D ↓ |"
    body = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [line[0] for line in body] == ["Grad-CAM", "", "Grad-CAM++", "", "Score-CAM", "", "Raw attention"]
    assert [line[1] for line in body] == ["GAP", "CA", "GAP", "CA", "GAP", "CA", "CA"]
    for line, row in zip(body, report["rows"], strict=True):
        assert line[2:] == [f"{row[symbol]:.2f}" for symbol in ("AD", "AG", "AI", "I", "D")]


@pytest.mark.parametrize("render", [render_markdown, render_terminal])
def test_texts_say_what_was_measured(rows, render):
    text = render(create_report(rows, accuracy_num_images=50_000, untrained_accuracy={"ca": 0.1}))
    caption = text.splitlines()[0]
    for part in ("resnet50", "some <images>", "validation", "5 images", "castream", PROTOCOLS["castream"].hash):
        assert part in caption
    assert "50,000 images" in text
    assert "GAP 74.55; CA 74.70; CA, stream untrained 0.10" in text
    assert "Grad-CAM CA 2" in text


def test_the_better_pooling_follows_the_arrows():
    report = pair_rows({"AD": 10.0, "AG": 10.0, "AI": 10.0, "I": 10.0, "D": 10.0}, {})
    assert bold(report, "GAP") == ["AD", "D"]
    assert bold(report, "CA") == ["AG", "AI", "I"]
    assert "| Grad-CAM | GAP | **10.00** | 10.00 | 10.00 | 10.00 | **10.00** |" in render_markdown(report)
    assert re.search(r"GAP +10\.00\* +10\.00 +10\.00 +10\.00 +10\.00\*$", render_terminal(report), re.MULTILINE)


def test_values_that_print_alike_are_both_marked():
    report = pair_rows({"AD": 10.001}, {"AD": 10.004})
    assert "AD" in bold(report, "GAP")
    assert "AD" in bold(report, "CA")


def test_nothing_is_marked_without_a_comparison(rows):
    assert not any(cell.is_better for cell in tabulate(create_report(rows))["Raw attention"]["CA"])
    gap_only = create_report(create_rows(PAIRS[0:6:2]), accuracy={"gap": 70.0})
    table = tabulate(gap_only)
    assert [list(poolings) for poolings in table.values()] == [["GAP"]] * 3
    assert "**" not in render_markdown(gap_only)
    assert f"GAP 70.00; CA {ABSENT}" in render_markdown(gap_only)


def test_poolings_of_an_attribution_stand_together_gap_first():
    pairs = (("score_cam", "ca"), ("grad_cam", "ca"), ("score_cam", "gap"), ("grad_cam", "gap"))
    table = tabulate(create_report(create_rows(pairs)))
    assert {name: list(poolings) for name, poolings in table.items()} == {
        "Score-CAM": ["GAP", "CA"],
        "Grad-CAM": ["GAP", "CA"],
    }
    assert list(table) == ["Score-CAM", "Grad-CAM"]


def test_nan_is_a_dash_and_null(tmp_path):
    broken = dict.fromkeys(METRIC_COLUMNS, float("nan")) | {"insertion_curve": [float("nan")] * 4}
    report = create_report(create_rows(**broken), accuracy={"gap": float("nan"), "ca": 1.0})
    write_report(report, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["AD"] is None
    for text in (render_markdown(report), render_terminal(report), (tmp_path / "report.json").read_text()):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert f"| Grad-CAM | GAP |{f' {ABSENT} |' * 5}" in render_markdown(report)


def test_terminal_columns_are_aligned(rows):
    lines = render_terminal(create_report(rows)).splitlines()
    table = [line for line in lines if re.search(r"\d\.\d\d", line) and not line.startswith("Accuracy")]
    assert len(table) == len(PAIRS)
    points = [[match.start() for match in re.finditer(r"\.\d\d", line)] for line in table]
    assert all(places == points[0] for places in points)
    assert not any(line != line.rstrip() for line in lines)
