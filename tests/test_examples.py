"""The documentation's examples of how to add to the package: they work, and under their addresses in our tables."""

import dataclasses
import importlib
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import castream_jax as ca
from castream_jax.binding.choices import choose_methods
from castream_jax.models.network import Network
from tests.goldens import assert_close
from tests.networks import IMAGES, mild_resnet, small_resnet

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
LABELS = jnp.asarray([4, 1])


@pytest.fixture(autouse=True)
def others_stay_unknown(monkeypatch):
    """Methods and metrics that a test adds are there for this test alone; the examples are where addresses look."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    methods, metrics, poolings = dict(ca.METHODS), dict(ca.METRICS), dict(ca.POOLINGS)
    yield
    for known, before in ((ca.METHODS, methods), (ca.METRICS, metrics), (ca.POOLINGS, poolings)):
        known.clear()
        known.update(before)


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short(file):
    assert len(file.read_text().splitlines()) < 60


def test_the_method():
    """Its weights differ by position: against one gradient of an image at a time."""
    model = small_resnet()
    found = ca.attribute(model, IMAGES, LABELS, "elementwise_cam:ELEMENTWISE_CAM")
    features = model.features(IMAGES)
    for i, label in enumerate(LABELS.tolist()):
        own = {name: values[i : i + 1] for name, values in features.items()}

        def logit(a, own=own, label=label):
            return model.head(own | {"stage4": a})[0][0, label]

        a = own["stage4"]
        plain = np.maximum(np.asarray(jax.grad(logit)(a)) * np.asarray(a), 0)[0].sum(-1)
        assert_close(found[i], (plain - plain.min()) / np.ptp(plain), absolute=1e-4)
    assert not np.allclose(found, ca.attribute(model, IMAGES, LABELS, "grad_cam"), atol=1e-2)
    same = ca.attribute(model, IMAGES, LABELS, load("elementwise_cam").ELEMENTWISE_CAM)
    np.testing.assert_array_equal(found, same)


def test_the_method_is_known_by_its_key_then():
    assert "elementwise_cam" not in ca.METHODS
    (method,) = choose_methods(["elementwise_cam:ELEMENTWISE_CAM"])
    assert choose_methods(["grad_cam", "elementwise_cam"])[1] is method


MAPS = jnp.asarray(np.random.default_rng(0).random((2, 4, 6)), jnp.float32)


def test_the_metric():
    """A plain loop over images and shares."""
    model = mild_resnet()
    found = ca.evaluate_maps(model, IMAGES, LABELS, MAPS, metrics=("AD", "blurred_away:BLURRED_AWAY"))
    assert set(found) == {"probability", "masked_probability", "average_drop", "blurred_away"}
    example = load("blurred_away")
    saliency = np.asarray(jax.image.resize(MAPS, (2, *IMAGES.shape[1:3]), "bilinear", antialias=False))
    for i, label in enumerate(LABELS.tolist()):
        order = np.argsort(saliency[i].reshape(-1), kind="stable")[::-1]
        probabilities = []
        for share in example.SHARES:
            removed = np.zeros(saliency[i].size, bool)
            removed[order[: int(np.ceil(share * len(order)))]] = True
            blurred = example.blur_away(IMAGES[i : i + 1], jnp.asarray(removed.reshape(1, *saliency[i].shape)))
            probabilities.append(float(jax.nn.softmax(model(blurred))[0, label]))
        assert_close(found["blurred_away"][i], np.mean(probabilities), absolute=1e-4)


def test_blurred_pixels_are_the_mean_of_those_around_them():
    """Pixels that stay are as they were; at the border there are fewer."""
    image = jnp.asarray(np.random.default_rng(0).random((1, 16, 12, 3)), jnp.float32)
    removed = jnp.zeros((1, 16, 12), bool).at[0, 5, 4].set(True).at[0, 0, 11].set(True)
    found = load("blurred_away").blur_away(image, removed)
    np.testing.assert_array_equal(found[~removed], image[~removed])
    np.testing.assert_allclose(found[0, 5, 4], image[0, 3:8, 2:7].mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(found[0, 0, 11], image[0, :3, 9:].mean((0, 1)), atol=1e-6)


def test_a_protocol_that_explains_another_class_has_other_numbers():
    record, protocols = load("blurred_away").BLURRED_AWAY, ca.PROTOCOLS
    assert record.hash(protocols["castream"]) != record.hash(protocols["rise"])
    other = dataclasses.replace(protocols["castream"], step_rows=4)
    assert record.hash(protocols["castream"]) == record.hash(other)  # it has no steps


def test_the_pooling():
    """Between the mean and the maximum, and part of a network by its address."""
    model = ca.create_model("resnet18_small", "ca, log_sum_exp:LOG_SUM_EXP, lse(sharpness=50)", num_classes=5)
    assert list(model.poolings()) == ["gap", "ca", "lse", "lse(sharpness=50)"]
    features = model.features(jnp.asarray(np.random.default_rng(0).standard_normal((2, 64, 64, 3)), jnp.float32))
    last = np.asarray(features["stage4"], np.float64)
    for text, sharpness in (("lse", 1.0), ("lse(sharpness=50)", 50.0)):
        pooled, attention = model.poolings()[text].pool(features)
        assert_close(pooled, np.log(np.exp(sharpness * last).mean((1, 2))) / sharpness, relative=1e-5)
        assert not attention
    with pytest.raises(ca.InputError, match="expected a Pooling of castream_jax"):
        ca.create_model("resnet18_small", "log_sum_exp:LogSumExp")


def test_the_backbone():
    model = load("backbone").create_small_net(num_classes=5)
    assert isinstance(model, Network)
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
