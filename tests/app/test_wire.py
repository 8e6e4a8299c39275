"""What goes to the page."""

import base64
import json

import numpy as np
import pytest

from castream_jax.app import wire
from castream_jax.app.viewer import Choice, Found, Opened
from castream_jax.app.worker import Progress
from castream_jax.explanation.view import View
from tests.app.small_viewer import CLASS_NAMES, create_viewer


@pytest.fixture(scope="module")
def viewer():
    return create_viewer()


def opened(**probabilities) -> Opened:
    pixels = np.zeros((8, 8, 3), np.uint8)
    return Opened(7, View("a\x1b.png", pixels, 1.0, shown=pixels), {k: np.float32(v) for k, v in probabilities.items()})


def test_classes_are_the_most_probable_ones(viewer):
    value = wire.describe_answers(viewer, opened(gap=[0.1, 0.6, 0.2, 0.1, 0], ca=[0.1, 0.5, 0.3, 0.1, 0]))
    assert value["poolings"] == ["GAP", "CA"]
    assert [entry["label"] for entry in value["classes"][:2]] == [1, 2]
    assert value["classes"][0]["name"] == CLASS_NAMES[1]
    assert value["said"] == ""


def test_a_pooling_without_an_answer_is_said(viewer):
    broken = opened(gap=[0.1, 0.6, 0.2, 0.1, 0], ca=[np.nan] * 5)
    value = wire.describe_answers(viewer, broken)
    assert value["said"] == "CA predicts: not a number"
    json.dumps(value, allow_nan=False)
    assert wire.predicted(broken, "ca") == wire.predicted(broken, "gap") == 1


def test_a_map_is_bytes_at_its_own_resolution(viewer):
    found = Found(np.float32([[0, 0.5, 1], [0.2, np.nan, 0]]), "flat")
    value = wire.describe_map(viewer, opened(gap=[1, 0, 0, 0, 0]), Choice("grad_cam", "gap", 2), found)
    assert (value["map"]["h"], value["map"]["w"]) == (2, 3)
    assert list(base64.b64decode(value["map"]["bytes"])) == [0, 128, 255, 51, 0, 0]
    assert value["title"] == "Grad-CAM, GAP, for class crane"
    assert value["picture"] == 7
    assert value["said"] == "flat"


def test_raw_attention_is_of_no_class(viewer):
    assert wire.name_choice(viewer, Choice("attention", "ca", 2)) == "Raw attention, CA"


@pytest.mark.parametrize(
    ("progress", "expected", "said"),
    [
        (Progress(0.0, 1.0), 5.4, "Compiling Score-CAM, about 5 s, this once"),
        (Progress(0.0, 1.0), 0.2, "Compiling Score-CAM, about 1 s, this once"),
        (Progress(0.0, 1.0), 0.0, "Score-CAM …"),
        (Progress(0.25, 4.0), 0.0, "Score-CAM: 25%, about 12 s more"),
        (Progress(0.25, 4.0), 5.4, "Score-CAM: 25%"),
    ],
)
def test_waiting_is_worded(viewer, progress, expected, said):
    choice = Choice("score_cam", "gap", 0)
    value = wire.describe_waiting(viewer, opened(gap=[1, 0, 0, 0, 0]), choice, progress, expected)
    assert value["said"] == said
    assert value["busy"]
    assert value["map"] is None


def test_names_show_their_control_characters():
    assert wire.describe_opened(opened(gap=[1, 0]))["name"] == r"a\x1b.png"


def test_the_first_two_maps_compare_poolings_or_else_methods(viewer):
    assert wire.first_choices(viewer) == (("grad_cam", "gap"), ("grad_cam", "ca"))
    assert wire.first_choices(create_viewer("gap")) == (("grad_cam", "gap"), ("grad_cam_pp", "gap"))
