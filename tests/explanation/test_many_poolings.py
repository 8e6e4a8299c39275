"""Pictures of six poolings: each has its column, and all of it finds room."""

import pytest

from castream_jax.drawing import grid
from castream_jax.drawing.columns import count_columns
from castream_jax.explanation.figure import Explanation
from castream_jax.explanation.gallery import render_gallery
from tests.contrasts import check_contrasts
from tests.drawing.recorded import check_texts, record_sheets
from tests.explanation.many import NAMES, PAIRS, create_many_explained
from tests.explanation.synthetic import CLASS_NAMES

WIDE, NARROW = 1280, 390
PLACES = """() => [...document.querySelectorAll(".map")].map((map) => {
    const { left, width, top } = map.getBoundingClientRect();
    return [map.querySelector("input").value, Math.round(left), width, Math.round(top)];
})"""


@pytest.fixture
def page(chromium_page, tmp_path):
    """Return the gallery of two pictures."""
    found = [create_many_explained(name, seed) for seed, name in enumerate(("a.jpg", "b.jpg"))]
    (tmp_path / "index.html").write_text(render_gallery("resnet18", found, CLASS_NAMES), encoding="utf-8")
    chromium_page.goto((tmp_path / "index.html").as_uri())
    chromium_page.wait_for_selector("#caption strong")
    return chromium_page


def test_each_pooling_has_its_column_of_maps(page):
    page.set_viewport_size({"width": WIDE, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    left: dict[str, set[int]] = {}
    for key, x, width, _ in page.evaluate(PLACES):
        left.setdefault(key.partition("/")[2], set()).add(x)
        assert width > 60
    assert [len(places) for places in left.values()] == [1] * 6
    order = sorted(left, key=lambda pooling: min(left[pooling]))
    assert order == [pooling for key, pooling in PAIRS if key == "grad_cam"]
    assert page.locator("thead th:visible").all_inner_texts() == ["Top predictions", *NAMES]


def test_a_telephone_shows_all_of_it(page):
    page.set_viewport_size({"width": NARROW, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    places = page.evaluate(PLACES)
    assert len(places) == len(PAIRS)
    assert all(x >= 0 and x + width <= NARROW and width >= 44 for _, x, width, _ in places)
    shares = page.locator("#classes tr").first.locator("td.share")
    assert [share.get_attribute("data-pooling") for share in shares.all()] == NAMES
    said = shares.first.evaluate("share => getComputedStyle(share, '::before').content")
    assert said == '"GAP"'
    assert all(share.is_visible() for share in shares.all())


def test_any_of_them_is_chosen_and_named(page):
    page.check("input[value='score_cam/gem(p=4)']", force=True)
    assert page.inner_text("#caption").startswith(f"a.jpg\nScore-CAM, GeM (p=4), for class {CLASS_NAMES[2]}")
    assert page.locator("input[name=map]").count() == len(PAIRS)
    check_contrasts(page)


def test_a_grid_has_a_line_for_each_attribution_and_a_column_for_each_pooling(monkeypatch, tmp_path):
    sheets = record_sheets(monkeypatch, grid)
    picture = create_many_explained("a picture.jpg")
    Explanation("resnet18", (picture,), CLASS_NAMES).save(tmp_path / "a.png")
    *pictures, _ = sheets[0].figure.axes
    assert len(pictures) == 1 + len(PAIRS)
    columns = {round(axes.get_position().x0, 6) for axes in pictures[1:]}
    lines = {round(axes.get_position().y0, 6) for axes in pictures[1:]}
    assert (len(columns), len(lines)) == (6, 5)
    assert count_columns(PAIRS) == 6
    extents = [axes.get_window_extent() for axes in pictures]
    for i, a in enumerate(extents):
        assert not any(a.overlaps(b) for b in extents[i + 1 :])
        assert a.width / sheets[0].figure.dpi > 0.9  # inches
    check_texts(sheets[0])
    said = " ".join(text.get_text() for text in sheets[0].figure.texts)
    assert all(name in said for name in ("Raw attention", "LayerCAM", "SimPool", "Efficient probing", "GeM (p=4)"))


def test_a_grid_of_one_attribution_and_many_poolings(monkeypatch, tmp_path):
    sheets = record_sheets(monkeypatch, grid)
    picture = create_many_explained()
    own = {pair: maps for pair, maps in picture.maps.items() if pair[0] == "attention"}
    grid.lay_grid(
        grid.HeatMaps(picture.pixels[None], ("id",), ("title",), {pair: maps[:1] for pair, maps in own.items()})
    ).save(tmp_path / "a.png")
    assert len(sheets[0].figure.axes) == 1 + 4 + 1
    check_texts(sheets[0])
