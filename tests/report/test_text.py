"""The report: its JSON, its table in Markdown and in plain text."""

import json
import re

import pytest

from castream_jax.evaluation.rows import summarise
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.statistics import FEWEST, RESAMPLES
from castream_jax.report.tables import ABSENT
from castream_jax.report.text import render_markdown, render_terminal, write_report
from tests.evaluation.synthetic import (
    METRIC_COLUMNS,
    NULL_PAIRS,
    PAIRS,
    create_localised_rows,
    create_report,
    create_rows,
)

SYMBOLS = ("AD", "AG", "AI", "I", "D")


def test_json_has_the_schema_and_the_means(rows, tmp_path):
    report = create_report(rows)
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
    assert read["settings"] == {"image_size": 224, "chunk": 64}
    assert (tmp_path / "new" / "directory" / "report.md").read_text() == render_markdown(report)
    assert len(list((tmp_path / "new" / "directory").iterdir())) == 2


def test_a_gap_network_has_no_untrained_stream(rows):
    report = create_report(rows, accuracy={"gap": 70.0}, untrained_accuracy={})
    assert "untrained_accuracy" not in report
    assert report["accuracy"] == {"gap": 70.0}


def test_counts_intervals_and_passes_are_kept(rows, tmp_path):
    passes = {"made": 10, "without_sharing": 30, "shared_trunk": 15, "dead_channels": 3, "pruning": 1, "shared_ends": 1}
    report = create_report(rows, passes=passes, resamples=150, seed=3)
    write_report(report, tmp_path)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["bootstrap"] == {"level": 0.95, "resamples": 150, "seed": 3}
    assert [line["attribution"] for line in read["differences"]] == ["grad_cam", "grad_cam_pp", "score_cam"]
    assert len(read["intervals"]) == len(PAIRS)
    assert read["nan_maps"]["score_cam/gap"] == 1
    assert read["all_negative_maps"]["grad_cam/ca"] == 1
    assert read["passes"] == passes
    assert "localised_images" not in read
    assert "remarks" not in read


def test_by_default_there_are_ten_thousand_resamples(rows):
    report = create_report(rows, resamples=RESAMPLES)
    assert report["bootstrap"] == {"level": 0.95, "resamples": 10_000, "seed": 0}


@pytest.mark.parametrize(
    "passes",
    [{"made": 1, "without_sharing": 3, "pruning": 1}, {"made": 1}, {"made": 1, "without_sharing": 2, "luck": 1}],
)
def test_passes_that_do_not_add_up_are_refused(rows, passes):
    with pytest.raises(ValueError, match="passes"):
        create_report(rows, passes=passes)


def test_an_endless_bound_is_a_dash(tmp_path):
    write_report(create_report(create_rows(score_cam_bound=float("inf"), score_cam_left_out=0.5)), tmp_path)
    read = json.loads((tmp_path / "report.json").read_text())
    assert list(read["remarks"]) == ["score_cam"]
    assert read["remarks"]["score_cam"]["ca"] == (
        f"50 % of channels left out; no position moves by more than {ABSENT} of the map's maximum, mean over images, "
        f"{ABSENT} in the worst."
    )


def test_markdown_table_holds_the_means_and_intervals(rows):
    report = create_report(rows)
    text = render_markdown(report)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "| attribution | pooling | AD ↓ | AG ↑ | AI ↑ | I ↑ | D ↓ |"
    body = [[cell.strip(" ") for cell in line.strip("|").split("|")] for line in lines[2 : 2 + len(PAIRS)]]
    for line, row, interval in zip(body, report["rows"], report["intervals"], strict=True):
        for cell, symbol in zip(line[2:], SYMBOLS, strict=True):
            low, high = interval[symbol]
            assert cell.replace("*", "") == f"{row[symbol]:.2f} [{low:.2f}, {high:.2f}]"
    assert not any(cell.startswith("**") for line in body for cell in line)  # of five images
    assert lines[2 + len(PAIRS)] == lines[0]  # the next section is a table of its own
    assert lines[2 + len(PAIRS) + 2].startswith("| Grad-CAM | CA-GAP |")


@pytest.mark.parametrize("render", [render_markdown, render_terminal])
def test_texts_say_what_was_measured(rows, render):
    text = render(create_report(rows, accuracy_num_images=50_000, untrained_accuracy={"ca": 0.1}))
    caption = text.splitlines()[0]
    for part in ("resnet50", "some <images>", "validation", "5 images", "castream", PROTOCOLS["castream"].hash):
        assert part in caption
    assert "50,000 images" in text
    assert "GAP 74.55; CA 74.70; CA, stream untrained 0.10" in text
    assert "Grad-CAM CA 2" in text
    assert "200 resamples, seed 0" in text


@pytest.mark.parametrize("render", [render_markdown, render_terminal])
def test_null_maps_stand_apart_below_the_attributions(render):
    lines = render(create_report(create_rows((*NULL_PAIRS, *PAIRS)))).splitlines()
    places = [
        next(i for i, line in enumerate(lines) if part in line) for part in ("Raw attention", "Null maps", "Random")
    ]
    assert places == sorted(places)
    null = lines[places[1] : next(i for i, line in enumerate(lines) if "CA minus GAP" in line)]
    assert "*" not in "".join(null)
    for name in ("Random", "Centred Gaussian", "Constant", "All but one pixel"):
        assert sum(name in line for line in null) == 1


def test_what_stands_out_is_marked():
    rows = create_rows(PAIRS[:2], images=40)
    report = create_report(rows)
    report["rows"][0] |= {"AD": 10.0}
    gain = {"mean": 40.0, "interval": [30.0, 50.0], "images": 40, "p": 0.001, "survives_holm": True}
    report["differences"][0]["AD"] = gain
    assert "| Grad-CAM | GAP | **10.00** [" in render_markdown(report)
    assert re.search(r"Grad-CAM +GAP +10\.00\* ", render_terminal(report))
    assert "| Grad-CAM | CA-GAP | **+40.00**† [30.00, 50.00] |" in render_markdown(report)
    assert re.search(r"Grad-CAM +CA-GAP +\+40\.00† ", render_terminal(report))
    gain["survives_holm"] = False
    assert re.search(r"Grad-CAM +CA-GAP +\+40\.00\* ", render_terminal(report))


def test_a_gap_network_has_neither_marks_nor_differences():
    report = create_report(create_rows(PAIRS[0:6:2], images=FEWEST), accuracy={"gap": 70.0}, untrained_accuracy={})
    assert "**" not in render_markdown(report)
    assert "CA minus GAP" not in render_markdown(report)
    assert "Accuracy (%, 50,000 images): GAP 70.00.\n" in render_markdown(report)


def test_nan_is_a_dash_and_null(tmp_path):
    broken = dict.fromkeys(METRIC_COLUMNS, float("nan")) | {"insertion_curve": [float("nan")] * 4}
    report = create_report(create_rows(**broken), accuracy={"gap": float("nan"), "ca": 1.0})
    write_report(report, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["rows"][0]["AD"] is None
    for text in (render_markdown(report), render_terminal(report), (tmp_path / "report.json").read_text()):
        assert not re.search(r"\bnan\b(?! |_)", text.replace("a NaN or", ""), re.IGNORECASE)
    assert f"| Grad-CAM | GAP |{f' {ABSENT} |' * 5}" in render_markdown(report)
    assert f"| Grad-CAM | CA-GAP |{f' {ABSENT} |' * 5}" in render_markdown(report)


def test_terminal_columns_are_aligned():
    lines = render_terminal(create_report(create_rows((*PAIRS, *NULL_PAIRS)))).splitlines()
    lines = lines[: next(place for place, line in enumerate(lines) if line.startswith("Accuracy"))]
    table = [line for line in lines if re.search(r"\d\.\d\d", line)]
    numbers = [line for line in table if "[" not in line]
    assert len(numbers) == len(PAIRS) + len(NULL_PAIRS) + 3 + 4
    assert len(table) == 2 * len(numbers)
    points = [[match.start() for match in re.finditer(r"\.\d\d", line)] for line in numbers]
    assert all(places == points[0] for places in points)
    assert not any(line != line.rstrip() for line in lines)


def test_terminal_fits_120_columns():
    pairs = (*PAIRS, ("attention_scores", "ca"), *NULL_PAIRS)
    rows = create_localised_rows(pairs, images=30)
    text = render_terminal(create_report(rows, accuracy_num_images=50_000, dataset="imagenet"))
    assert max(map(len, text.splitlines())) <= 120
    widest = create_report(rows, dataset="imagenet")
    for line in (*widest["intervals"], *(line for line in widest["differences"])):
        for symbol in ("AD", "AI"):
            interval = [-100.0, -99.99]
            sure = {"mean": -100.0, "interval": interval, "images": 99, "p": 0.001, "survives_holm": True}
            line[symbol] = sure if "against" in line else [99.99, 100.0]
    assert max(map(len, render_terminal(widest).splitlines())) <= 120
