"""A classifier of new classes: the regression that scikit-learn fits, to what the classifier sees."""

import dataclasses
import logging

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from castream_jax.config import StageConfig
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.models.classifier import create_model
from castream_jax.storage.array_trees import digest
from castream_jax.training import classifier_fit
from castream_jax.training.classifier_fit import choose_strength, fit_several, regress
from castream_jax.training.loop import train
from castream_jax.weights.convert import export_weights
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow


def draw(num_classes: int):
    """Return features [60 4] of classes that overlap, and labels."""
    values = np.random.default_rng(0)
    labels = np.arange(60) % num_classes
    return (values.standard_normal((60, 4)) + labels[:, None]).astype(np.float32), labels


@pytest.mark.parametrize("num_classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(num_classes, monkeypatch):
    monkeypatch.setattr(classifier_fit, "STRENGTHS", (1.0,))
    features, labels = draw(num_classes)
    kernel, bias = regress(features, labels, num_classes)
    scaled = features / features.std()
    expected = LogisticRegression(max_iter=1000).fit(scaled, labels).predict_proba(scaled)
    np.testing.assert_allclose(jax.nn.softmax(features @ kernel + bias), expected, atol=1e-5)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_each_class_by_itself(num_classes, monkeypatch):
    monkeypatch.setattr(classifier_fit, "STRENGTHS", (1.0,))
    features, labels = draw(num_classes)
    kernel, bias = regress(features, labels, num_classes, apart=True)
    scaled = features / features.std()
    for label in range(num_classes):
        expected = LogisticRegression(max_iter=1000).fit(scaled, labels == label).predict_proba(scaled)[:, 1]
        np.testing.assert_allclose(jax.nn.sigmoid(features @ kernel[:, label] + bias[label]), expected, atol=1e-3)


def test_the_penalty_is_chosen_on_images_held_out():
    """One direction of a hundred tells the classes apart, barely: a weak penalty fits the noise of the others."""
    values = np.random.default_rng(0)
    labels = np.arange(80) % 2
    noise = values.standard_normal((80, 100)).astype(np.float32)
    assert choose_strength(noise + 0.3 * labels[:, None], labels, apart=False) < 1
    clear = noise[:, :2] * 0.3 + labels[:, None]
    assert np.mean((clear @ regress(clear, labels, 2)[0] + regress(clear, labels, 2)[1]).argmax(1) == labels) > 0.95
    assert choose_strength(noise[:19], labels[:19], apart=False) == 1.0


@pytest.fixture
def new_classes(demo_directory, tmp_path):
    """Return an experiment on the demo's ten classes from the weights of a network of seven."""
    save_file(export_weights(create_model("resnet18_small", "gap", num_classes=7, seed=3)), tmp_path / "w.safetensors")
    return small_experiment(
        str(demo_directory),
        weights=str(tmp_path / "w.safetensors"),
        replace_classifier=True,
        backbone=StageConfig(epochs=0),
        stream=StageConfig(epochs=1, batch_size=32),
    )


def test_new_classes_on_a_frozen_backbone(new_classes, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "castream_jax")
    monkeypatch.setattr(classifier_fit, "STRENGTHS", (1.0,))  # what features of random weights tell is mostly noise
    model = train(new_classes, tmp_path / "run")
    before = nnx.state(create_model("resnet18_small", "gap", num_classes=10, seed=3).backbone)
    assert digest(jax.device_get(nnx.state(model.backbone))) == digest(jax.device_get(before))
    (said,) = [text for text in caplog.messages if text.startswith("classifier: fitted to 96 images")]
    assert float(said.split()[-3]) > 30  # of ten classes

    def refuse(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(classifier_fit, "compute_features", refuse)
    again = train(new_classes, tmp_path / "run")  # whose checkpoint holds it
    np.testing.assert_array_equal(again.classifier.linear.kernel[...], model.classifier.linear.kernel[...])


def test_too_many_images_for_a_regression(new_classes, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_fit, "LARGEST", 1000)
    with pytest.raises(InputError, match=r"has 96 images, .* at most 1: set --config\.backbone\.epochs"):
        train(new_classes, tmp_path / "run")


def test_the_whole_network_is_trained_from_its_weights(new_classes, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_fit, "LARGEST", 1000)  # the classifier starts fresh
    stage = StageConfig(epochs=1, batch_size=32, learning_rate=1e-3)
    experiment = dataclasses.replace(new_classes, backbone=stage, stream=stage)
    model = train(experiment, tmp_path / "run")
    start = nnx.state(create_model("resnet18_small", "gap", num_classes=10, seed=3).backbone, nnx.Param)
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), nnx.state(model.backbone, nnx.Param), start)
    assert 0 < max(jax.tree.leaves(moved)) < 0.1


def create_source(names: str) -> Source:
    return Source("several", "train", [], tuple(names), has_several_labels=True)


def test_of_several_labels_each_class_by_itself(monkeypatch):
    monkeypatch.setattr(classifier_fit, "STRENGTHS", (1.0,))
    values = np.random.default_rng(0)
    present = values.random((60, 3)) < 0.4
    features = (values.standard_normal((60, 5)) + present @ values.standard_normal((3, 5))).astype(np.float32)
    kernel, bias = fit_several(features, present, create_source("abc"))
    scaled = features / features.std()
    for label in range(3):
        expected = LogisticRegression(max_iter=1000).fit(scaled, present[:, label]).predict_proba(scaled)[:, 1]
        np.testing.assert_allclose(jax.nn.sigmoid(features @ kernel[:, label] + bias[label]), expected, atol=1e-4)


def test_a_class_that_no_picture_shows_or_all_do_is_refused():
    present = np.random.default_rng(0).random((30, 3)) < 0.5
    features = np.zeros((30, 4), np.float32)
    for value, said in ((False, "no images that show 1 of its classes, .*: b"), (True, "that are without 1 of .*: b")):
        present[:, 1] = value
        with pytest.raises(InputError, match=said):
            fit_several(features, present, create_source("abc"))
