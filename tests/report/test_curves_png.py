"""The curves of insertion and deletion."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from castream_jax.drawing.sheet import DPI, PAGE_WIDTH
from castream_jax.report import curves_png
from castream_jax.report.curves_png import draw_curves, probability_limit
from tests.drawing.recorded import read_width, record_sheets
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, create_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def sheets(monkeypatch):
    """Return the pages that a test draws, as they come."""
    return record_sheets(monkeypatch, curves_png)


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
        "import sys; from tests.evaluation.synthetic import create_heat_maps, create_rows;"
        "from castream_jax.report.curves_png import draw_curves;"
        "from castream_jax.drawing.grid import draw_grid;"
        "draw_grid(create_heat_maps(), sys.argv[1]); draw_curves(create_rows(), sys.argv[2]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    subprocess.run([sys.executable, "-W", "error", "-c", code, *paths], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}
