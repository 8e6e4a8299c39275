"""The strokes of poolings: seen on both papers, by all eyes, and told apart without colour."""

import itertools

import numpy as np
import pytest

from castream_jax.drawing.palette import STROKES, place_strokes

PAPERS = {"light": "#fdfdfc", "dark": "#15181b"}
SEEN = {  # Machado, Oliveira and Fernandes, 2009: what those see who lack a kind of cones, in linear light
    "all cones": np.eye(3),
    "no long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
FIRST = STROKES[:8]


def linear(colour):
    """Return the linear light of a colour such as #1a2b3c."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def to_lab(light):
    """Return CIELAB of linear light."""
    scaled = XYZ @ np.clip(light, 0, 1) / XYZ.sum(1)
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("paper", PAPERS)
def test_every_stroke_stands_out_from_its_paper(paper):
    behind = XYZ[1] @ linear(PAPERS[paper])
    for stroke in STROKES:
        darker, lighter = sorted((behind, XYZ[1] @ linear(getattr(stroke, paper))))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, stroke  # WCAG 2.1, 1.4.11: graphics


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("eyes", SEEN)
def test_eight_colours_are_apart_for_all_eyes(paper, eyes):
    seen = [to_lab(SEEN[eyes] @ linear(getattr(stroke, paper))) for stroke in FIRST]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 18


def test_lines_are_told_apart_without_colour():
    assert len({stroke.dashes for stroke in FIRST}) == len(FIRST)
    assert len({stroke.flat_dashes for stroke in FIRST}) == len(FIRST)
    assert [stroke.dashes for stroke in STROKES].count(()) == 7  # one of each colour, which are used one after another
    assert len(set(STROKES)) == len(STROKES)
    assert all(len(stroke.dashes) % 2 == 0 for stroke in STROKES)


def test_a_stroke_goes_by_the_place_and_the_first_is_gaps():
    assert place_strokes(["gap", "ca"]) == {"gap": 0, "ca": 1}
    assert place_strokes(["gap", "gem(p=4)", "mine:POOL", "ca"]) == {"gap": 0, "gem(p=4)": 1, "mine:POOL": 2, "ca": 3}
    assert place_strokes(["network"]) == {"network": 1}
    many = place_strokes(["gap", *map(str, range(200))])
    assert max(many.values()) < len(STROKES)
    assert 0 not in [many[str(i)] for i in range(200)]
