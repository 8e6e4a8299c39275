"""The report in a real browser: opens from a file without network or messages, sorts, filters, steps, prints.

`chromium_page` fails a test whose page says anything on its console or asks the network for anything.
"""

import io

import numpy as np
import pytest
from PIL import Image

from castream_jax.drawing.grid import draw_grid
from castream_jax.report.html import render_html
from tests.contrasts import check_contrasts
from tests.evaluation.synthetic import (
    NULL_PAIRS,
    PAIRS,
    create_heat_maps,
    create_localised_rows,
    create_report,
    create_selection,
)

pytestmark = pytest.mark.slow

LONG = tuple(f"greater spotted mountain dog number {i:04d}" for i in range(100))
"""Class names of 40 characters."""
COLUMN = """([number, part]) => {
    const body = document.querySelector("table.results").querySelectorAll("tbody.lines")[part];
    return [...body.rows].filter((line) => !line.hidden).map((line) => line.cells[number].firstChild.textContent);
}"""
TEXTS = (
    "h3, h4, .card figcaption, .numbers dt, .numbers dd, .answers dd, .panel strong, .key, "
    ".results td, .results th:not(.again), .controls label, .controls output, .case .reasons"
)
OVERLAPS = """(texts) => {
    const range = document.createRange();
    const items = [...document.querySelectorAll(texts)].filter((item) => item.checkVisibility()).map((item) => {
        range.selectNodeContents(item);
        return [item, range.getBoundingClientRect()];
    }).filter(([, place]) => place.width > 1);
    const cross = (a, b) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
    return items.flatMap(([one, a], i) => items.slice(i + 1)
        .filter(([other, b]) => !one.contains(other) && cross(a, b))
        .map(([other]) => [one.textContent.trim(), other.textContent.trim()])).slice(0, 5);
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the path of a report with everything in it."""
    directory = tmp_path_factory.mktemp("report")
    rows = create_localised_rows((*PAIRS, *NULL_PAIRS), images=9)
    draw_grid(create_heat_maps(), directory / "grid.png")
    figures = [("A grid.", directory / "grid.png")]
    text = render_html(create_report(rows), rows, figures, create_selection(rows, class_names=LONG, size=(64, 64)))
    (directory / "report.html").write_text(text, encoding="utf-8")
    return directory / "report.html"


@pytest.fixture
def page(chromium_page, report):
    """Return the page of the report."""
    chromium_page.goto(report.as_uri())
    return chromium_page


def column(page, number, part=0):
    """Return a column of the first table's shown lines, in one of its parts."""
    return page.evaluate(COLUMN, [number, part])


def test_sorts_by_mouse_and_by_keyboard(page):
    came = column(page, 2)
    drop = page.get_by_role("columnheader", name="AD ↓").first
    assert drop.get_attribute("aria-sort") is None
    drop.get_by_role("button").click()
    assert [float(text) for text in column(page, 2)] == sorted(map(float, came))
    assert drop.get_attribute("aria-sort") == "ascending"  # the best first: a low one
    page.keyboard.press("Enter")
    assert [float(text) for text in column(page, 2)] == sorted(map(float, came), reverse=True)
    assert drop.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # AG, of which the best is high
    assert [float(text) for text in column(page, 3)] == sorted(map(float, column(page, 3)), reverse=True)
    assert page.locator("[aria-sort]").count() == 1
    assert page.get_by_role("status").first.inner_text() == "Sorted by AG ↑, best first."
    assert all(page.locator("table.results").first.locator("tbody.lines th span").nth(i).is_visible() for i in range(7))
    for _ in range(2):
        page.keyboard.press("Space")
    assert column(page, 2) == came
    assert page.locator("[aria-sort]").count() == 0


def test_filters_tables_curves_and_pictures(page):
    assert len(column(page, 2)) == 7
    assert len(column(page, 2, part=1)) == 8
    page.get_by_label("Null maps", exact=True).uncheck()
    assert column(page, 2, part=1) == []
    assert not page.get_by_text("Null maps, which know nothing").first.is_visible()
    page.get_by_label("CA", exact=True).uncheck()
    assert len(column(page, 2)) == 3
    assert column(page, 2, part=2) == []  # CA minus GAP needs both
    assert not page.locator("polyline.line-1").first.is_visible()
    page.get_by_label("Score-CAM", exact=True).uncheck()
    assert len(column(page, 2)) == 2
    assert page.locator("figure.panel:visible").count() == 2 * 3
    assert page.locator("figure.card:visible").count() == 2
    assert page.get_by_role("status").first.inner_text() == "4 of 44 lines of the tables are shown."
    page.get_by_label("CA", exact=True).check()
    names = page.locator("table.results").first.locator("tbody.lines tr:visible th span")
    assert names.all_inner_texts().count("Raw attention") == 1


def test_steps_through_images(page):
    page.get_by_label("Images", exact=True).select_option(label="Highest average drop (6)")
    shown = page.locator("article.case:visible")
    assert shown.count() == 1
    assert page.locator("#position").inner_text() == "1 of 6"
    first = shown.locator("h3").inner_text()
    page.locator("#explorer").scroll_into_view_if_needed()
    page.locator("#next").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#position").inner_text() == "2 of 6"
    assert shown.locator("h3").inner_text() != first
    assert all(image.evaluate("item => item.naturalWidth > 0") for image in shown.locator("img").all())
    page.locator("#explorer h2").click()  # the focus is nowhere
    page.keyboard.press("ArrowRight")
    assert page.locator("#position").inner_text() == "3 of 6"
    page.locator("#next").focus()
    page.keyboard.press("End")
    assert page.locator("#next").is_disabled()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#position").inner_text() == "5 of 6"
    page.locator(".strip button").nth(2).click()
    assert page.locator(".strip button[aria-current=true]").count() == 1
    assert page.locator("#position").inner_text() == "3 of 6"


def test_categories_and_orders(page):
    explorer = page.locator("#explorer")
    explorer.get_by_label("Images", exact=True).select_option(label="All of these (9)")
    explorer.get_by_label("Order", exact=True).select_option(label="AD, worst first")
    explorer.get_by_label("Map", exact=True).select_option(label="Grad-CAM, CA")
    drops = []
    for _ in range(9):
        card = page.locator("article.case:visible .group[data-attribution='Grad-CAM'] .card[data-pooling=CA]")
        drops.append(float(card.locator(".numbers dd").first.inner_text()))
        page.locator("#next").evaluate("button => button.click()")  # nothing when there is no next one
    assert drops == sorted(drops, reverse=True)
    explorer.get_by_label("Images", exact=True).select_option(label="Failed maps (2)")
    assert page.locator("article.case:visible .odd").count() > 0


def test_dark_and_light(page):
    colours = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        read = "name => getComputedStyle(document.documentElement).getPropertyValue(name)"
        colours[scheme] = {
            name: luminance(page.evaluate(read, name))
            for name in ("--paper", "--ink", "--faint", "--gap", "--ca", "--bad", "--edge")
        }
    assert colours["light"]["--paper"] > 0.9
    assert colours["dark"]["--paper"] < 0.05
    for found in colours.values():
        paper = found.pop("--paper")
        for name, value in found.items():
            contrast = (max(paper, value) + 0.05) / (min(paper, value) + 0.05)
            assert contrast >= (3 if name == "--edge" else 4.5), name  # WCAG 2.1: controls, text


def test_every_text_stands_out(page):
    page.eval_on_selector_all("details", "all => all.forEach((each) => { each.open = true; })")
    check_contrasts(page)


def luminance(colour):
    """Return the relative luminance of a colour like #1a2b3c."""
    channels = np.array([int(colour.strip()[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_is_cut_off_or_overlaps(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overlapping = page.evaluate(OVERLAPS, TEXTS)
    assert overlapping == []


def test_print_shows_one_image_of_each_category_and_no_controls(page):
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("article.case:visible").count() == page.locator("article.sample").count() > 1
    assert not page.locator(".controls").is_visible()
    assert not page.locator("#filters").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_screenshot_is_not_blank(page):
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert picture.shape == (900, 1280)
    assert picture.std() > 10


def test_everything_can_be_read_without_the_script(chromium, report):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("article.case:visible").count() == 9
    assert not page.locator("#filters").is_visible()
    assert not page.locator(".controls").is_visible()
    assert page.locator("table.results tbody.lines tr").count() == 44
    context.close()
