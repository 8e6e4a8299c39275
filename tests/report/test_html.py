"""The HTML report: one well-formed file that needs nothing else."""

import base64
import re
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from castream_jax.attribution import METHODS
from castream_jax.drawing.grid import draw_grid
from castream_jax.evaluation.rows import rows_schema
from castream_jax.metrics import METRICS
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.report.html import format_duration, render_html
from castream_jax.report.tables import SURE, tabulate
from tests.evaluation.synthetic import (
    METRIC_COLUMNS,
    NULL_PAIRS,
    PAIRS,
    ROWS,
    create_heat_maps,
    create_localised_rows,
    create_report,
    create_rows,
    create_selection,
)

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Document(HTMLParser):
    """Collects tags, attributes and the texts of table cells; fails on tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data
        if not {"style", "script"} & set(self.open):
            self.text += data


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Return the path of a grid."""
    path = tmp_path_factory.mktemp("figures") / "grid.png"
    draw_grid(create_heat_maps(), path)
    return path


@pytest.fixture
def document(rows, picture):
    """Return the parsed report of five images."""
    report = create_report(rows, settings={"image_size": 224, "target": "a & b"})
    return Document(render_html(report, rows, [("A caption with <angles> & more", picture)]))


def test_every_tag_is_closed(document):
    assert document.open == []
    assert [tag for tag, _ in document.tags].count("h1") == 1


def test_nothing_is_loaded_from_elsewhere(rows, picture):
    text = render_html(create_report(rows), rows, [("caption", picture)])
    assert not re.search(r"https?://|\"//[a-z]+\.", text)
    assert "url(" not in text
    assert "@import" not in text
    loaded = [value for tag, found in Document(text).tags for name, value in found.items() if name in ("src", "href")]
    loaded = [value for value in loaded if not value.startswith("#")]
    assert len(loaded) == 1
    assert base64.b64decode(loaded[0].removeprefix("data:image/png;base64,")) == picture.read_bytes()
    assert not {"link", "iframe", "object"} & {tag for tag, _ in Document(text).tags}
    assert "default-src 'none'" in text  # a browser would refuse


def test_table_holds_every_number():
    rows = create_rows(images=40).to_pylist()
    for row in rows:
        row["insertion"] = 0.9 if row["pooling"] == "ca" else 0.1 + 0.01 * row["label"]
    report = create_report(rows := pa.Table.from_pylist(rows, schema=ROWS))
    document = Document(render_html(report, rows, []))
    cells = [cell.strip() for cell in document.cells]
    marks = 0
    for table in tabulate(report):
        for section in table.sections:
            for _, pooling, numbers in section.lines:
                texts = [pooling, *(cell.text + SURE * cell.is_sure + cell.interval for cell in numbers)]
                assert any(cells[i : i + 6] == texts for i in range(len(cells)))
                marks += sum(cell.is_marked for cell in numbers)
    assert marks >= 2 * 3  # insertion, of means and of differences
    assert len([found for tag, found in document.tags if tag == "td" and found.get("class") == "marked"]) == marks


def test_where_the_object_is_has_its_own_table_and_glossary(rows):
    localised = create_localised_rows(masks=2)
    document = Document(render_html(create_report(localised), localised, []))
    assert [tag for tag, found in document.tags if found.get("class") == "results"] == ["table"] * 2
    for part in ("Where the object is", "Pointing game (PG) ↑", "IoU fixed", "Images with a mask or box: 2."):
        assert part in document.text
    plain = Document(render_html(create_report(rows), rows, []))
    assert [tag for tag, found in plain.tags if found.get("class") == "results"] == ["table"]
    assert "Pointing game" not in plain.text


def test_null_maps_have_lines_but_no_panels_and_the_random_one_is_in_every_panel():
    rows = create_rows((*PAIRS, *NULL_PAIRS))
    document = Document(render_html(create_report(rows), rows, []))
    for name in ("Random", "Centred Gaussian", "Constant", "All but one pixel"):
        assert sum(cell.strip() == name for cell in document.cells) == 3  # for GAP, CA, and CA minus GAP
    panels = [found["aria-label"] for tag, found in document.tags if tag == "svg" and found.get("role") == "img"]
    assert len(panels) == 2 * 4
    lines = [found["class"] for tag, found in document.tags if tag == "polyline"]
    assert lines.count("curve") == 2 * len(PAIRS)
    assert [tag for tag, _ in document.tags].count("polygon") == 2 * len(PAIRS)
    assert "in percent. The thin grey curves are those of the random map." in document.text


def test_passes_and_intervals_are_told(rows):
    report = create_report(rows, passes={"made": 1000, "without_sharing": 4000, "shared_trunk": 3000})
    text = Document(render_html(report, rows, [])).text
    assert "Forward passes: 1,000 of the 4,000" in text
    assert "200 resamples, seed 0" in text


def test_text_tells_protocol_accuracy_versions_and_metrics(document):
    parts = ["castream", PROTOCOLS["castream"].hash, "74.55", "74.70", "50,000 images", "5 images", "some <images>"]
    parts += [
        "Average drop (AD) ↓",
        "Average gain (AG) ↑",
        "Average increase (AI) ↑",
        "Insertion (I) ↑",
        "Deletion (D) ↓",
    ]
    parts += ["decreasing flat index", "jax", "flax", "python", "a & b", "1 h 02 min", "Grad-CAM CA 2"]
    for part in parts:
        assert part in document.text


def test_one_panel_for_each_attribution_with_a_line_for_each_pooling(document):
    panels = [found["aria-label"] for tag, found in document.tags if tag == "svg" and found.get("role") == "img"]
    assert len(panels) == 2 * 4
    lines = [found for tag, found in document.tags if tag == "polyline"]
    assert len(lines) == 2 * len(PAIRS)
    assert {line["class"] for line in lines} == {"curve line-0", "curve line-1"}
    assert document.text.count("fraction of pixels inserted") == 4
    assert document.text.count("fraction of pixels deleted") == 4


def test_areas_beside_the_curves_are_those_of_the_table():
    rows = create_rows(PAIRS[:1], images=1, insertion_curve=[0.0, 0.5, 1.0, 1.0], insertion=2 / 3)
    text = Document(render_html(create_report(rows), rows, [])).text
    assert text.count("66.67") == 2


def test_without_areas_there_are_no_curves(rows):
    schema = rows_schema((METRICS["AD"], METRICS["PG"]), tuple(METHODS.values()))
    rows = rows.select(schema.names).cast(schema)
    text = render_html(create_report(rows), rows, [], create_selection(rows))
    document = Document(text)
    assert document.open == []
    assert "polyline" not in {tag for tag, _ in document.tags}
    assert "the curves" not in document.text
    assert [found["value"] for tag, found in document.tags if tag == "input" and found.get("type") == "checkbox"] == [
        *("Grad-CAM", "Grad-CAM++", "Score-CAM", "Raw attention"),
        *("GAP", "CA"),
    ]


def test_user_text_is_escaped(rows, picture):
    evil = '</script><script>alert("x")</script>'
    report = create_report(rows, network=evil)
    selection = create_selection(rows, class_names=(evil,) * 100)
    text = render_html(report, rows, [('"><script>', picture)], selection)
    assert [tag for tag, _ in Document(text).tags].count("script") == 2  # the page's own, and its data
    assert "alert(" not in text.replace("alert(&#34;x", "")


def test_gap_only_network_without_pictures():
    rows = create_rows(PAIRS[0:6:2])
    text = render_html(create_report(rows, accuracy={"gap": 70.0}), rows, [])
    document = Document(text)
    assert document.open == []
    assert "<h2>Pictures</h2>" not in text
    assert {found["class"] for tag, found in document.tags if tag == "polyline"} == {"curve line-0"}


def test_nan_is_never_printed():
    nan = float("nan")
    curves = {"insertion_curve": [nan] * 4, "deletion_curve": [0.5, nan, 0.5, 0.5]}
    rows = create_rows(**dict.fromkeys(METRIC_COLUMNS, nan), **curves)
    selection = create_selection(rows)
    text = Document(render_html(create_report(rows, accuracy={"gap": nan}), rows, [], selection)).text
    assert not re.search(r"\bnan\b", text.replace("a NaN", ""), re.IGNORECASE)


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (90.0, "2 min"), (3599.0, "1 h 00 min"), (7384.0, "2 h 03 min")]
)
def test_durations_are_for_people(seconds, text):
    assert format_duration(seconds) == text


def test_every_picture_says_what_it_is(rows):
    document = Document(render_html(create_report(rows), rows, [], create_selection(rows)))
    pictures = [found for tag, found in document.tags if tag == "img"]
    assert len(pictures) == 5 * (1 + len(PAIRS)) + 1  # of each image itself and its maps; and the scale
    assert all(found["alt"] and found["src"].startswith("data:image/jpeg;base64,") for found in pictures)
    for part in ("Highest average drop: mean AD", "Classified wrong: GAP, CA", "says class 1", "nothing positive"):
        assert part in document.text


def test_without_pictures_there_is_no_explorer(rows):
    assert "Image by image" not in render_html(create_report(rows), rows, [])
