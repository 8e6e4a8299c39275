"""The curves' panels: bands around means, in the coordinates of the page."""

import numpy as np
import pytest

from castream_jax.evaluation.rows import mean_curves
from castream_jax.metrics import METRICS
from castream_jax.report.curves_svg import RESAMPLES, Frame, build_curves, draw_line, find_bands
from castream_jax.report.statistics import SEED, bootstrap_intervals
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, create_rows

INSERTION = METRICS["I"]


def test_bands_are_bootstrap_intervals_of_each_point():
    rows = create_rows(PAIRS[:2], images=9)
    bands = find_bands(rows, INSERTION)
    values = np.array([row["insertion_curve"] for row in rows.to_pylist()[::2]], np.float64)
    assert bands[PAIRS[0]] == bootstrap_intervals(values, RESAMPLES, SEED)
    for pair, curve in mean_curves(rows, "insertion").items():
        assert all(low < mean < high for (low, high), mean in zip(bands[pair], curve, strict=True))
    assert bands == find_bands(rows, INSERTION)


def test_null_maps_and_single_images_have_no_band():
    assert set(find_bands(create_rows((*PAIRS, *NULL_PAIRS)), INSERTION)) == set(PAIRS)
    _, curves = build_curves(create_rows(images=1))
    assert {line.band for _, panels in curves for panel in panels for line in panel.lines} == {""}


def test_a_band_is_a_polygon_around_its_curve():
    frame = Frame(1.0)
    curve = np.array([0.2, float("nan"), 0.8])
    line = draw_line(frame, "ca", curve, [(0.1, 0.3), (0.0, 1.0), (0.7, 1.2)])
    points = [tuple(map(float, point.split(","))) for point in line.band.split()]
    top, bottom = 10, 138
    assert points == [
        (46, pytest.approx(138 - 0.3 * 128, abs=0.06)),
        (242, top),  # what leaves the frame ends at its edge
        (242, pytest.approx(bottom - 0.7 * 128, abs=0.06)),
        (46, pytest.approx(bottom - 0.1 * 128, abs=0.06)),
    ]
