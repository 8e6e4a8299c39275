"""The sentences of a report: each says its numbers, and is left out where there are none."""

import pyarrow as pa

from castream_jax.attribution.rise import RISE, rise
from castream_jax.evaluation.rows import rows_schema
from castream_jax.metrics import METRICS
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.html import render_html
from castream_jax.report.notes import (
    SAVINGS,
    describe_all,
    describe_classes,
    describe_localised,
    describe_numbers,
    describe_passes,
    describe_remarks,
    describe_source,
)
from castream_jax.report.statistics import FEWEST
from castream_jax.report.text import render_markdown, render_terminal
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, ROWS, create_localised_rows, create_report, create_rows

PASSES = {"made": 1000, "without_sharing": 4000, "shared_trunk": 2000, "dead_channels": 600, "shared_ends": 400}


def test_the_source_names_protocol_and_hash(rows):
    text = describe_source(create_report(rows))
    for part in ("resnet50", "some <images>", "validation", "5 images", "castream", PROTOCOLS["castream"].hash):
        assert part in text
    assert "1 image," in describe_source(create_report(create_rows(images=1)))


def test_numbers_say_how_far_to_trust_them(rows):
    text = " ".join(describe_numbers(create_report(rows, resamples=1234, seed=7)))
    assert "95 % percentile bootstrap over images, 1,234 resamples, seed 7" in text
    assert "Flat maps (constant, counted as zeros): Grad-CAM CA 2." in text
    assert "NaN or infinity (counted as zeros): Score-CAM GAP 1." in text
    assert "without a positive value before ReLU (flat, therefore): Grad-CAM CA 1." in text
    clean = " ".join(describe_numbers(create_report(create_rows(flat=False, nan=False, all_negative=False))))
    assert clean.count(": none.") == 3


def test_images_with_masks_are_counted():
    report = create_report(create_localised_rows(masks=3))
    assert describe_localised(report) == ["Images with a mask or box: 3."]
    report["settings"]["truth"] = "boxes"
    assert describe_localised(report) == ["Images with a mask or box, by boxes: 3."]
    del report["settings"]["truth"]
    report["localised_images"]["PG"] = 5
    assert describe_localised(report) == ["Images with a mask or box: PG 5, EPG 3, IoU best 3, IoU fixed 3."]
    assert describe_localised(create_report(create_rows())) == []


def test_classes_are_named(rows):
    assert describe_classes(create_report(rows)) == []
    names = ("cat", "dog", "fox", "hen", "pig", "rat", "yak")
    assert describe_classes(create_report(rows, class_names=names[:2])) == [
        "Classes by label: 0 is cat, 1 is dog; 2 in all."
    ]
    report = create_report(rows, class_names=names)
    assert describe_classes(report) == ["Classes by label: 0 is cat, 1 is dog, 2 is fox, …, 6 is yak; 7 in all."]
    assert describe_classes(report)[0] in describe_all(report)
    assert report["class_names"] == list(names)


def test_doubts_stand_at_the_head():
    rows = create_rows(images=FEWEST)
    report = create_report(rows, warnings=("Nothing <fits>.",))
    assert render_markdown(report).splitlines()[2] == "**Warning:** Nothing <fits>."
    assert render_terminal(report).splitlines()[1] == "Warning: Nothing <fits>."
    head = render_html(report, rows, []).partition("<main>")[0]
    assert '<p class="warning"><strong>Warning:</strong> Nothing &lt;fits&gt;.</p>' in head
    for text in (render_markdown(create_report(rows)), render_terminal(create_report(rows))):
        assert "Warning" not in text
    assert 'class="warning"' not in render_html(create_report(rows), rows, [])


def test_pruning_tells_its_bound(rows):
    assert describe_remarks(create_report(rows)) == []
    report = create_report(create_rows(score_cam_bound=0.0068, score_cam_left_out=0.416))
    gap, ca = describe_remarks(report)
    assert gap.startswith("Score-CAM GAP: 41.6 % of channels left out; no position moves by more than 0.68 % of")
    assert ca.startswith("Score-CAM CA")
    assert gap in describe_all(report)
    endless = create_report(create_rows(score_cam_bound=float("inf"), score_cam_left_out=0.416))
    assert "— in the worst" in describe_remarks(endless)[0]


def test_passes_tell_what_each_measure_saved(rows):
    text = describe_passes(create_report(rows, passes=PASSES))
    assert text.startswith("Forward passes: 1,000 of the 4,000 of the plain computation. Saved: ")
    for name, share in (("shared_trunk", "50.0"), ("dead_channels", "15.0"), ("shared_ends", "10.0")):
        assert f"{SAVINGS[name]} {share} %" in text
    assert SAVINGS["pruning"] not in text
    none = create_report(rows, passes={"made": 0, "without_sharing": 0, "pruning": 0})
    assert "0.0 %" in describe_passes(none)
    assert describe_passes(create_report(rows)).endswith("1,000 of the 1,000 of the plain computation.")


def test_a_metric_that_a_null_map_wins_is_named():
    rows = create_rows((*PAIRS, *NULL_PAIRS)).to_pylist()
    for row in rows:
        row["average_drop"] = 0.0 if row["attribution"] == "fake" else 0.5
        row["deletion"] = 0.1 if row["attribution"] == "fake" else 0.2
        row["average_gain"] = row["insertion"] = row["average_increase"] = float(row["attribution"] == "grad_cam")
    text = " ".join(describe_numbers(create_report(pa.Table.from_pylist(rows, schema=ROWS))))
    assert "Best of all is a map that knows nothing of the network: All but one pixel in AD and D." in text
    assert "knows nothing" not in " ".join(describe_numbers(create_report(create_rows())))


def test_everything_is_said_once(rows):
    sentences = describe_all(create_report(rows, passes=PASSES))
    assert sentences[0] == "Accuracy (%, 50,000 images): GAP 74.55; CA 74.70; CA, stream untrained 0.10."
    assert len(sentences) == len(set(sentences)) == 8


def test_what_runs_through_the_trunk_is_named_and_how_it_is_counted():
    rows = create_rows((("grad_cam", "gap"), ("opti_cam", "gap")))
    said = describe_passes(create_report(rows))
    assert said.endswith(" Opti-CAM: through the trunk forward and back, each time counted as 3.")


def test_a_report_has_the_options_of_its_own_rows():
    few = rise(12)
    schema = rows_schema(tuple(METRICS.values()), (few,))
    rows = create_rows((("rise", "gap"),)).replace_schema_metadata(schema.metadata)
    (method,) = create_report(rows)["methods"]
    assert (method["options"]["masks"], method["hash"]) == (12, few.hash)
    assert few.hash != RISE.hash
