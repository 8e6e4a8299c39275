"""The documentation's examples of how to add to the package: they work, and under names of their own in ours."""

import importlib.util
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import castream_jax as ca
from castream_jax import names
from castream_jax.evaluation import maps
from tests.goldens import assert_close
from tests.networks import IMAGES, mild_resnet, small_resnet

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
LABELS = jnp.asarray([4, 1])


def load(name: str) -> ModuleType:
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short(file):
    assert len(file.read_text().splitlines()) < 40


def test_the_attribution():
    """With GAP the gradient is the same everywhere: Grad-CAM and XGrad-CAM are one method."""
    xgrad_cam = load("attribution").xgrad_cam
    gap = small_resnet("gap")
    assert_close(xgrad_cam(gap, IMAGES, LABELS), ca.attribute(gap, IMAGES, LABELS, "grad_cam"), absolute=1e-4)
    model = small_resnet()
    found = xgrad_cam(model, IMAGES, LABELS)
    assert not np.allclose(found, ca.attribute(model, IMAGES, LABELS, "grad_cam"), atol=1e-2)
    assert ca.evaluate_maps(model, IMAGES, LABELS, found)["average_drop"].shape == (2,)


def test_the_attribution_in_our_tables(monkeypatch):
    """The two lines that the page says are enough."""
    example = load("attribution")
    monkeypatch.setitem(maps.GRADIENT_METHODS, "xgrad_cam", example.xgrad_cam_weights)
    monkeypatch.setitem(names.ATTRIBUTION_NAMES, "xgrad_cam", "XGrad-CAM")
    model = small_resnet()
    features = model.features(IMAGES)
    found = maps.compute_maps({"ca": model}, IMAGES, features, {"ca": LABELS}, ["xgrad_cam"], "stage4", chunk=8)
    assert_close(found.maps["xgrad_cam", "ca"], example.xgrad_cam(model, IMAGES, LABELS), absolute=1e-5)
    assert names.name_attribution("xgrad_cam") == "XGrad-CAM"


def test_the_metric():
    model = mild_resnet()
    graphdef, state = nnx.split(model)

    @jax.jit
    def score_fn(images):
        return jax.nn.softmax(nnx.merge(graphdef, state)(images))

    def measure(level: float) -> jax.Array:
        values = jnp.full((2, 4, 6), level)
        return load("metric").drop_in_deletion(score_fn, IMAGES, LABELS, values, model.normalisation, chunk=2)

    np.testing.assert_allclose(measure(0.0), 0, atol=1e-5)  # nothing is taken away
    black = jax.nn.softmax(model(model.normalisation(np.zeros((1, 64, 96, 3), np.uint8))))[0]
    p = score_fn(IMAGES)[jnp.arange(2), LABELS]
    np.testing.assert_allclose(measure(1.0), (p - black[LABELS]) / p, atol=1e-5)  # everything is


def test_the_backbone():
    model = load("backbone").create_small_net(num_classes=5)
    gap = model.poolings()["gap"]
    for method in ("grad_cam", "attention"):
        found = ca.attribute(model, IMAGES, LABELS, method)
        assert found.shape == (2, 8, 12)
        assert np.ptp(found) > 0.9
    scores = ca.evaluate_maps(gap, IMAGES, LABELS, ca.attribute(gap, IMAGES, LABELS, "grad_cam"))
    assert np.isfinite(scores["insertion"]).all()
    with pytest.raises(ca.InputError, match="needs at least 8 pixels a side"):
        model.features(IMAGES[:, :7])


def test_what_is_no_backbone_is_refused():
    from castream_jax.models.backbone import Backbone

    assert isinstance(small_resnet().backbone, Backbone)
    assert not isinstance(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), Backbone)
