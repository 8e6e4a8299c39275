"""A report of six poolings and of every metric in a real browser: nothing is cut off, all folds open, at any width."""

import pyarrow as pa
import pytest

from castream_jax.attribution import METHODS
from castream_jax.evaluation.rows import rows_schema
from castream_jax.metrics import METRICS
from castream_jax.report.html import render_html
from tests.contrasts import check_contrasts
from tests.evaluation.synthetic import create_report, create_selection
from tests.report.many import NAMES, POOLINGS, create_many_rows
from tests.report.test_browser import OVERLAPS, TEXTS

pytestmark = pytest.mark.slow

WIDTHS = (1280, 768, 390)
CUT = """() => [...document.querySelectorAll("body *")].filter((item) => {
    const { right, width } = item.getBoundingClientRect();
    return width > 1 && right > document.documentElement.clientWidth + 1 && !item.closest(".scroll, .strip, .unseen");
}).map((item) => item.textContent.trim().slice(0, 40)).slice(0, 5)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the path of a report of all metrics."""
    schema = rows_schema(tuple(METRICS.values()), tuple(METHODS.values()))
    records = []
    for i, row in enumerate(create_many_rows(images=6).to_pylist()):
        others = {item.name: (7 * i + k) % 100 / 99 for k, item in enumerate(schema) if pa.types.is_floating(item.type)}
        curves = {item.name: row["insertion_curve"] for item in schema if pa.types.is_list(item.type)}
        records.append(others | curves | {name: value for name, value in row.items() if value is not None})
    rows = pa.Table.from_pylist(records, schema=schema)
    accuracy = dict.fromkeys(POOLINGS, 70.0)
    made = create_report(rows, accuracy=accuracy, untrained_accuracy=dict.fromkeys(POOLINGS[1:], 0.1), resamples=100)
    file = tmp_path_factory.mktemp("many") / "report.html"
    file.write_text(render_html(made, rows, [], create_selection(rows, size=(48, 64))), encoding="utf-8")
    return file


@pytest.fixture
def page(chromium_page, report):
    """Return the page of the report, its folds open."""
    chromium_page.goto(report.as_uri())
    chromium_page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = true; })")
    return chromium_page


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways_with_its_folds_open(page, width):
    assert page.locator("details[open]").count() > 1
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overlaps(page, width):
    page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = false; })")
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate(OVERLAPS, TEXTS) == []


def test_the_first_table_of_five_metrics_fits_a_screen(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    wide = page.locator(".scroll").first.evaluate("scroll => scroll.scrollWidth - scroll.clientWidth")
    assert wide <= 0


def test_each_pooling_has_a_stroke_of_its_own(page):
    lines = page.locator("figure.panel").first.locator("polyline:not([data-null])")
    found = lines.evaluate_all(
        "lines => lines.map((line) => [line.dataset.pooling, getComputedStyle(line).stroke, "
        "getComputedStyle(line).strokeDasharray, getComputedStyle(line).strokeWidth])"
    )
    assert {name for name, *_ in found} == set(NAMES)
    assert len({colour for _, colour, *_ in found}) == len({dashes for _, _, dashes, _ in found}) == len(NAMES)
    assert {width for *_, width in found} == {"2px"}
    keys = page.locator("figure.panel").first.locator(".key")
    assert [key.get_attribute("data-pooling") for key in keys.all()] == NAMES


def test_a_pooling_is_filtered_with_its_differences(page):
    table = page.locator("table.results").first
    lines = table.locator("tbody.lines tr:visible")
    before = lines.count()
    page.get_by_label("SimPool", exact=True).first.uncheck()
    assert before - lines.count() == 4 + 4 + 7  # means of methods and of null maps, and differences
    page.get_by_label("GAP", exact=True).first.uncheck()
    assert table.locator("tr[data-against]:visible").count() == 0
    assert table.locator("tr[data-pooling='Class attention']:visible").count() == 4 + 4


def test_maps_of_a_pooling_stand_below_each_other(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    places = page.locator("article.case:visible .card").evaluate_all(
        "cards => cards.map((card) => [card.dataset.pooling, Math.round(card.getBoundingClientRect().left)])"
    )
    assert {name for name, _ in places} == set(NAMES)
    assert len(set(map(tuple, places))) == len(NAMES)


def test_every_text_stands_out(page):
    check_contrasts(page)
