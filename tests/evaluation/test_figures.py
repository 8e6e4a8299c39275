"""The pictures: what is where in the grid, and that nothing overlaps."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from castream_jax.evaluation import figures
from castream_jax.evaluation.figures import (
    draw_curves,
    draw_grid,
    lay_heading,
    overlay,
    place_columns,
    probability_limit,
)
from castream_jax.evaluation.sheet import DPI, PAGE_WIDTH, SMALL, TEXT, Sheet, measure, wrap
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, create_gallery, create_rows

LONG_NAME = "black-and-white colobus of the old forest"


@pytest.fixture
def sheets(monkeypatch):
    """Record the pages that a test draws."""
    drawn = []

    class Recorded(Sheet):
        def __init__(self, width, height):
            super().__init__(width, height)
            drawn.append(self)

    monkeypatch.setattr(figures, "Sheet", Recorded)
    return drawn


def read_width(path):
    """Return the width of a PNG in pixels."""
    with Image.open(path, formats=["PNG"]) as image:
        return image.width


def boxes(sheet):
    """Return the extents of all non-empty texts of a page, in pixels."""
    renderer = sheet.canvas.get_renderer()
    return {text: text.get_window_extent(renderer) for text in sheet.figure.texts if text.get_text()}


def check_texts(sheet):
    """Assert that texts lie on the page, and neither on each other nor on a picture."""
    found = list(boxes(sheet).items())
    width, height = sheet.canvas.get_width_height()
    pictures = [axes.get_window_extent() for axes in sheet.figure.axes]
    for i, (text, box) in enumerate(found):
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text  # noqa: PT018
        others = [other for _, other in found[i + 1 :]] + pictures
        for other in others:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            along = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across <= 0 or along <= 1, text


def test_columns_are_input_attention_and_pairs():
    columns, cell = place_columns(PAIRS)
    assert [column.pair for column in columns] == [None, PAIRS[-1], *PAIRS[:-1]]
    gaps = np.diff([column.x for column in columns]) - cell
    assert gaps.min() > 0
    assert columns[-1].x + cell < PAGE_WIDTH
    within = [gaps[i] for i in (2, 4, 6)]
    between = [gaps[i] for i in (0, 1, 3, 5)]
    assert max(within) < min(between)


def test_gap_only_grid_leaves_the_other_columns_out(tmp_path, sheets):
    draw_grid(create_gallery(pairs=PAIRS[0:6:2]), tmp_path / "grid.png")
    assert len(sheets[0].figure.axes) == 2 * 4 + 1
    assert "CA" not in {text.get_text() for text in sheets[0].figure.texts}


@pytest.mark.parametrize("size", [(96, 96), (224, 224), (40, 96)])
def test_grid_has_a_row_for_each_image_and_a_column_for_each_map(tmp_path, sheets, size):
    gallery = create_gallery(images=3, size=size)
    draw_grid(gallery, tmp_path / "grid.png")
    *pictures, bar = sheets[0].figure.axes
    assert len(pictures) == 3 * (1 + len(PAIRS))
    assert len({round(axes.get_position().x0, 6) for axes in pictures}) == 1 + len(PAIRS)
    assert len({round(axes.get_position().y0, 6) for axes in pictures}) == 3
    for (i, column), axes in zip(itertools.product(range(3), place_columns(PAIRS)[0]), pictures, strict=True):
        picture = np.float32(gallery.images[i] / 255)
        expected = overlay(picture, gallery.maps[column.pair][i]) if column.pair else picture
        np.testing.assert_allclose(axes.images[0].get_array(), expected, atol=1e-6)
        assert axes.get_position().x0 * sheets[0].width == pytest.approx(column.x)
    box = pictures[0].get_window_extent()
    assert box.height / box.width == pytest.approx(size[0] / size[1], rel=1e-6)
    assert [label.get_text() for label in bar.get_xticklabels()] == ["0", "0.5", "1"]
    assert read_width(tmp_path / "grid.png") == pytest.approx(PAGE_WIDTH * DPI, abs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_rows_choose_images(tmp_path, sheets):
    gallery = create_gallery(images=4)
    draw_grid(gallery, tmp_path / "grid.png", rows=[2, 0])
    pictures = sheets[0].figure.axes
    assert len(pictures) == 2 * (1 + len(PAIRS)) + 1
    np.testing.assert_allclose(pictures[0].images[0].get_array(), gallery.images[2] / 255, atol=1e-6)
    np.testing.assert_allclose(pictures[1 + len(PAIRS)].images[0].get_array(), gallery.images[0] / 255, atol=1e-6)


@pytest.mark.parametrize("title", ["3", LONG_NAME, f"{LONG_NAME} (GAP: {LONG_NAME}, CA: {LONG_NAME})", "W" * 300])
@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[0:6:2], PAIRS[:1]])
def test_texts_never_overlap(tmp_path, sheets, title, pairs):
    gallery = dataclasses.replace(create_gallery(title=title, pairs=pairs), ids=("a", "directory/" * 30 + "b.jpg"))
    draw_grid(gallery, tmp_path / "grid.png")
    check_texts(sheets[0])
    shown = "".join(text.get_text() for text in sheets[0].figure.texts).replace(" ", "")
    assert shown.count(title.replace(" ", "")) == 2


def test_dollars_in_titles_are_dollars(tmp_path, sheets):
    draw_grid(create_gallery(title="$x_1$ and $"), tmp_path / "grid.png")
    titles = [text for text in sheets[0].figure.texts if "$" in text.get_text()]
    assert len(titles) == 2
    assert not any(text.get_parse_math() for text in titles)


def test_a_long_id_keeps_both_ends():
    lines = lay_heading("title", "imagenet/" + "n01440764/" * 40 + "end.JPEG", 7.0)
    identity = lines[-1][1]
    assert identity.startswith("imagenet/")
    assert identity.endswith("end.JPEG")
    assert measure(identity, SMALL) <= 7.0


def test_wrapped_lines_fit_and_keep_every_letter():
    text = f"{LONG_NAME} {'x' * 200} end"
    lines = wrap(text, 1.5, TEXT)
    assert max(measure(line, TEXT) for line in lines) <= 1.5
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 1.0, TEXT) == [""]


def test_overlay_interpolates_by_half_pixel_centres_and_keeps_the_scale():
    image = np.full((2, 8, 3), 0.5, np.float32)
    saliency = np.array([[0.0, 1.0]], np.float32)
    expected = np.array([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    colours = colormaps["inferno"](expected)[:, :3]
    low, high = figures.HEAT
    share = (low + (high - low) * expected)[:, None]
    grey = figures.LIFT + (1 - figures.LIFT) * 0.5
    np.testing.assert_allclose(overlay(image, saliency)[0], share * colours + (1 - share) * grey, atol=1e-6)
    flat = overlay(image, np.zeros((3, 3), np.float32))
    np.testing.assert_allclose(flat, np.broadcast_to(overlay(image, saliency)[0, 0], flat.shape), atol=1e-6)


def test_a_gallery_that_does_not_fit_together_is_refused():
    gallery = create_gallery()
    with pytest.raises(ValueError, match="ids"):
        dataclasses.replace(gallery, ids=("one",))
    with pytest.raises(ValueError, match="grad_cam/gap"):
        dataclasses.replace(gallery, maps={("grad_cam", "gap"): np.zeros((3, 6, 6), np.float32)})
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"score_cam/ca leave 0\.\.1"):
            dataclasses.replace(gallery, maps={("score_cam", "ca"): np.full((2, 6, 6), wrong, np.float32)})


def test_curves_have_a_panel_for_each_metric_and_attribution(tmp_path, sheets):
    rows = create_rows()
    draw_curves(rows, tmp_path / "curves.png")
    panels = sheets[0].figure.axes
    assert [panel.get_title() for panel in panels] == ["Grad-CAM", "Grad-CAM++", "Score-CAM", "Raw attention"] * 2
    assert [len(panel.lines) for panel in panels] == [2, 2, 2, 1] * 2
    gap, ca = panels[0].lines
    assert (gap.get_label(), ca.get_label()) == ("GAP", "CA")
    records = [r for r in rows.to_pylist() if (r["attribution"], r["pooling"]) == ("grad_cam", "ca")]
    expected = np.mean([record["insertion_curve"] for record in records], axis=0)
    np.testing.assert_allclose(ca.get_ydata(), expected, rtol=1e-6)
    np.testing.assert_allclose(ca.get_xdata(), [0, 1 / 3, 2 / 3, 1])
    assert len({panel.get_ylim() for panel in panels}) == 1
    for panel in panels:
        assert panel.get_xlabel().startswith("fraction of pixels")
    assert read_width(tmp_path / "curves.png") == pytest.approx(PAGE_WIDTH * DPI, abs=2)


def test_null_maps_have_no_panel_and_the_random_one_is_grey_in_all(tmp_path, sheets):
    draw_curves(create_rows((*NULL_PAIRS, *PAIRS)), tmp_path / "curves.png")
    panels = sheets[0].figure.axes
    assert [panel.get_title() for panel in panels] == ["Grad-CAM", "Grad-CAM++", "Score-CAM", "Raw attention"] * 2
    assert [len(panel.lines) for panel in panels] == [4, 4, 4, 2] * 2
    for panel in panels:
        named = [text.get_text() for text in panel.get_legend().get_texts()]
        assert named == ["GAP", "CA"][-len(panel.lines) // 2 :]
        assert [line.get_color() for line in panel.lines[1::2]] == ["#999999"] * (len(panel.lines) // 2)


def test_labels_of_curves_stay_on_the_page(tmp_path, sheets):
    draw_curves(create_rows((*PAIRS, ("attention_scores", "ca"))), tmp_path / "curves.png")
    width, height = sheets[0].canvas.get_width_height()
    renderer = sheets[0].canvas.get_renderer()
    outer = [panel.get_tightbbox(renderer) for panel in sheets[0].figure.axes]
    assert min(min(box.x0, box.y0) for box in outer) >= 0
    assert max(box.x1 for box in outer) <= width
    assert max(box.y1 for box in outer) <= height
    numbered = [panel.yaxis.get_tick_params()["labelleft"] for panel in sheets[0].figure.axes]
    assert numbered == [True, False, False, False, False] * 2
    titles = [panel.title.get_window_extent(renderer) for panel in sheets[0].figure.axes[:5]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))


def test_probability_axis_is_round_and_holds_every_curve():
    assert probability_limit([np.array([0.1, 0.35]), np.array([0.2, np.nan])]) == 0.4
    assert probability_limit([np.array([0.95])]) == 1.0
    assert probability_limit([np.full(3, np.nan)]) == 0.04
    assert probability_limit([]) == 1.0


def test_drawing_loads_no_gui_and_no_global_state(tmp_path):
    code = (
        "import sys; from tests.evaluation.synthetic import create_gallery, create_rows;"
        "from castream_jax.evaluation.figures import draw_curves, draw_grid;"
        "draw_grid(create_gallery(), sys.argv[1]); draw_curves(create_rows(), sys.argv[2]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    subprocess.run([sys.executable, "-W", "error", "-c", code, *paths], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}
