"""The grid: what is where, and that nothing overlaps."""

import dataclasses
import itertools

import numpy as np
import pytest

from castream_jax.drawing import grid
from castream_jax.drawing.grid import draw_grid, lay_grid, lay_heading, place_columns
from castream_jax.drawing.overlay import overlay
from castream_jax.drawing.sheet import DPI, PAGE_WIDTH, PRINT_DPI, SMALL, TEXT, measure, wrap
from tests.drawing.recorded import check_texts, read_width, record_sheets
from tests.evaluation.synthetic import PAIRS, create_heat_maps

LONG_NAME = "black-and-white colobus of the old forest"


@pytest.fixture
def sheets(monkeypatch):
    """Return the pages that a test draws, as they come."""
    return record_sheets(monkeypatch, grid)


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
    draw_grid(create_heat_maps(pairs=PAIRS[0:6:2]), tmp_path / "grid.png")
    assert len(sheets[0].figure.axes) == 2 * 4 + 1
    assert "CA" not in {text.get_text() for text in sheets[0].figure.texts}


@pytest.mark.parametrize("size", [(96, 96), (224, 224), (40, 96)])
def test_grid_has_a_row_for_each_image_and_a_column_for_each_map(tmp_path, sheets, size):
    heat_maps = create_heat_maps(images=3, size=size)
    draw_grid(heat_maps, tmp_path / "grid.png")
    *pictures, bar = sheets[0].figure.axes
    assert len(pictures) == 3 * (1 + len(PAIRS))
    assert len({round(axes.get_position().x0, 6) for axes in pictures}) == 1 + len(PAIRS)
    assert len({round(axes.get_position().y0, 6) for axes in pictures}) == 3
    for (i, column), axes in zip(itertools.product(range(3), place_columns(PAIRS)[0]), pictures, strict=True):
        picture = np.float32(heat_maps.images[i] / 255)
        expected = overlay(picture, heat_maps.maps[column.pair][i]) if column.pair else picture
        np.testing.assert_allclose(axes.images[0].get_array(), expected, atol=1e-6)
        assert axes.get_position().x0 * sheets[0].width == pytest.approx(column.x)
    box = pictures[0].get_window_extent()
    assert box.height / box.width == pytest.approx(size[0] / size[1], rel=1e-6)
    assert [label.get_text() for label in bar.get_xticklabels()] == ["0", "0.5", "1"]
    assert read_width(tmp_path / "grid.png") == pytest.approx(PAGE_WIDTH * DPI, abs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_rows_choose_images(tmp_path, sheets):
    heat_maps = create_heat_maps(images=4)
    draw_grid(heat_maps, tmp_path / "grid.png", rows=[2, 0])
    pictures = sheets[0].figure.axes
    assert len(pictures) == 2 * (1 + len(PAIRS)) + 1
    np.testing.assert_allclose(pictures[0].images[0].get_array(), heat_maps.images[2] / 255, atol=1e-6)
    np.testing.assert_allclose(pictures[1 + len(PAIRS)].images[0].get_array(), heat_maps.images[0] / 255, atol=1e-6)


@pytest.mark.parametrize("title", ["3", LONG_NAME, f"{LONG_NAME} (GAP: {LONG_NAME}, CA: {LONG_NAME})", "W" * 300])
@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[0:6:2], PAIRS[:1]])
def test_texts_never_overlap(tmp_path, sheets, title, pairs):
    heat_maps = dataclasses.replace(create_heat_maps(title=title, pairs=pairs), ids=("a", "directory/" * 30 + "b.jpg"))
    draw_grid(heat_maps, tmp_path / "grid.png")
    check_texts(sheets[0])
    shown = "".join(text.get_text() for text in sheets[0].figure.texts).replace(" ", "")
    assert shown.count(title.replace(" ", "")) == 2


def test_dollars_in_titles_are_dollars(tmp_path, sheets):
    draw_grid(create_heat_maps(title="$x_1$ and $"), tmp_path / "grid.png")
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


def test_heat_maps_that_do_not_fit_together_is_refused():
    heat_maps = create_heat_maps()
    with pytest.raises(ValueError, match="ids"):
        dataclasses.replace(heat_maps, ids=("one",))
    with pytest.raises(ValueError, match="grad_cam/gap"):
        dataclasses.replace(heat_maps, maps={("grad_cam", "gap"): np.zeros((3, 6, 6), np.float32)})
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"score_cam/ca leave 0\.\.1"):
            dataclasses.replace(heat_maps, maps={("score_cam", "ca"): np.full((2, 6, 6), wrong, np.float32)})


def test_images_in_their_own_shape_without_extremes(tmp_path, sheets):
    heat_maps = dataclasses.replace(create_heat_maps(images=3, size=(24, 24)), ratios=(0.75, 1.5, 20.0))
    draw_grid(heat_maps, tmp_path / "grid.png")
    *pictures, _ = sheets[0].figure.axes
    extents = [axes.get_window_extent() for axes in pictures[:: 1 + len(PAIRS)]]
    assert [box.height / box.width for box in extents] == pytest.approx([0.75, 1.5, grid.NARROWEST])
    check_texts(sheets[0])
    with pytest.raises(ValueError, match="ratios"):
        dataclasses.replace(heat_maps, ratios=(1.0,))


@pytest.mark.parametrize("title", ["3", LONG_NAME, f"{LONG_NAME} (GAP: {LONG_NAME}, CA: {LONG_NAME})"])
@pytest.mark.parametrize(("pairs", "across"), [(PAIRS[-1:], 3), (PAIRS[:2], 2), (PAIRS, 1)])
def test_panels_beside_each_other(tmp_path, sheets, title, pairs, across):
    heat_maps = create_heat_maps(images=5, title=title, pairs=pairs)
    lay_grid(heat_maps, across=across, intro=("a picture.jpg " * 20, "GAP: " + "W" * 200)).save(tmp_path / "grid.png")
    check_texts(sheets[0])
    *pictures, _ = sheets[0].figure.axes
    assert len(pictures) == 5 * (1 + len(pairs))
    inputs = [axes.get_position() for axes in pictures[:: 1 + len(pairs)]]
    assert len({round(box.x0, 6) for box in inputs}) == across
    assert len({round(box.y0, 6) for box in inputs}) == -(-5 // across)
    assert read_width(tmp_path / "grid.png") <= PAGE_WIDTH * DPI + 1


def test_a_pdf_has_real_text_and_the_same_bytes_each_time(tmp_path):
    paths = [tmp_path / "a.pdf", tmp_path / "b.pdf"]
    for path in paths:
        draw_grid(create_heat_maps(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"/FontFile2" in first  # TrueType, embedded
    assert sorted(tmp_path.iterdir()) == paths


def test_a_png_for_print_has_more_pixels(tmp_path):
    sheet = lay_grid(create_heat_maps())
    sheet.save(tmp_path / "grid.png", PRINT_DPI)
    assert read_width(tmp_path / "grid.png") == pytest.approx(PAGE_WIDTH * PRINT_DPI, abs=2)
    assert sheet.png().startswith(b"\x89PNG")


def test_a_remark_lies_on_its_map_and_in_its_cell(sheets, tmp_path):
    texts = ("nothing positive for this class", "", "not a number")
    remarks = {PAIRS[0]: texts, PAIRS[-1]: texts[::-1]}
    draw_grid(dataclasses.replace(create_heat_maps(images=3), remarks=remarks), tmp_path / "grid.png")
    *pictures, _ = sheets[0].figure.axes
    renderer = sheets[0].canvas.get_renderer()
    for (i, column), axes in zip(itertools.product(range(3), place_columns(PAIRS)[0]), pictures, strict=True):
        expected = remarks.get(column.pair, ("",) * 3)[i]
        assert " ".join(text.get_text().replace("\n", " ") for text in axes.texts) == expected
        for text in axes.texts:
            found, cell = text.get_window_extent(renderer), axes.get_window_extent()
            assert cell.x0 <= found.x0 and found.x1 <= cell.x1 and cell.y0 <= found.y0 and found.y1 <= cell.y1  # noqa: PT018


def test_remarks_are_one_for_each_image():
    with pytest.raises(ValueError, match="remarks of grad_cam/gap"):
        dataclasses.replace(create_heat_maps(), remarks={PAIRS[0]: ("",)})
