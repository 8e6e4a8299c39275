"""Maps of a picture that somebody looks at: each computed once, compiled once, and what is no picture refused."""

import numpy as np
import pytest
from PIL import Image

from castream_jax.app.viewer import Choice, Viewer
from castream_jax.attribution import METHODS
from castream_jax.errors import InputError
from castream_jax.explanation.explainer import Explainer, explain_classes
from tests.app.hostile import write_hostile
from tests.app.small_viewer import create_viewer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def viewer() -> Viewer:
    return create_viewer()


@pytest.fixture
def opened(viewer, tmp_path):
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return viewer.open(path, path.name)


def test_every_map_that_the_network_has_is_found_from_the_records(viewer):
    own = {
        (key, pooling)
        for key, method in METHODS.items()
        for pooling in ("gap", "ca")
        if pooling == "ca" or not method.needs_stream
    }
    assert set(viewer.keys) == own
    assert viewer.poolings_of("attention") == ["ca"]
    gap = create_viewer("gap")
    assert {method.key for method in gap.methods} == {key for key, method in METHODS.items() if not method.needs_stream}


def test_a_map_is_that_of_explain(viewer, opened):
    found = viewer.compute(opened, Choice("grad_cam", "ca", 3))
    expected = Explainer(viewer.model, ("grad_cam",)).explain(opened.view, [3])
    np.testing.assert_allclose(found.map, expected.maps["grad_cam", "ca"][0], atol=1e-5)
    assert found.remark == expected.remark(("grad_cam", "ca"), 0)
    assert opened.probabilities.keys() == {"gap", "ca"}


def test_other_poolings_and_classes_come_with_it(viewer, opened, monkeypatch):
    viewer.compute(opened, Choice("score_cam", "gap", 2))
    monkeypatch.setattr(Explainer, "explain", lambda *_: pytest.fail("computed again"))
    for pooling in ("gap", "ca"):
        for label in range(5):
            assert viewer.kept(opened, Choice("score_cam", pooling, label)) is not None
    assert viewer.kept(opened, Choice("grad_cam_pp", "gap", 2)) is None


def test_attention_is_kept_once_for_all_classes(viewer, opened):
    viewer.compute(opened, Choice("attention", "ca", 0))
    assert [place for place in opened.kept if place[0] == "attention"] == [("attention", -1)]


def test_a_method_is_compiled_once(viewer, tmp_path):
    before = explain_classes._cache_size()
    for seed, label in ((1, 0), (2, 4)):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(np.full((30 * seed, 50, 3), 40 * seed, np.uint8)).save(path)
        viewer.compute(viewer.open(path, path.name), Choice("grad_cam_pp", "gap", label))
    assert explain_classes._cache_size() <= before + 1
    assert viewer.expect_to_compile("grad_cam_pp") == 0


def test_a_method_that_asks_the_network_is_expected_to_take_longer():
    viewer = create_viewer()
    viewer.warm_up()
    expected = [viewer.expect_to_compile(method) for method in ("grad_cam", "score_cam", "opti_cam")]
    assert 0 < expected[0] < expected[1] < expected[2]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice("grad_cm", "gap", 0), "Did you mean 'grad_cam'"),
        (Choice("attention", "gap", 0), "unknown pooling of attention 'gap'"),
        (Choice("grad_cam", "gap", 5), "class 5: expected a label from 0 to 4"),
        (Choice("grad_cam", "gap", -1), "class -1"),
    ],
)
def test_a_map_that_is_not_there_is_refused(viewer, opened, choice, said):
    with pytest.raises(InputError, match=said):
        viewer.compute(opened, choice)


def test_what_is_no_picture_is_refused_by_its_name_alone(viewer, tmp_path):
    said = {}
    for name, path in write_hostile(tmp_path).items():
        with pytest.raises(InputError) as error:
            viewer.open(path, name)
        said[name] = str(error.value)
        assert name in said[name]
        assert str(tmp_path) not in said[name]
    assert "pixels" in said["bomb.png"]
    assert "damaged or not whole" in said["cut.jpg"]


def test_a_map_that_runs_through_the_trunk_comes_for_its_class_alone(viewer, opened):
    viewer.compute(opened, Choice("gradient_input", "gap", 2))
    assert viewer.kept(opened, Choice("gradient_input", "ca", 2)) is not None
    assert viewer.kept(opened, Choice("gradient_input", "gap", 1)) is None
