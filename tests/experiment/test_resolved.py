"""What a config leaves open is chosen once; what it says stays."""

from dataclasses import replace

import pytest

import castream_jax as ca
from castream_jax.binding.chunk import choose_chunk
from castream_jax.config import DataConfig, EvaluationConfig, Experiment
from castream_jax.experiment import resolved
from castream_jax.experiment.resolved import settle_chunk


@pytest.fixture(scope="module")
def model() -> ca.Classifier:
    return ca.create_model("resnet18", "gap")


def test_a_chunk_that_was_said_stays(monkeypatch, model):
    def refuse(*_):
        raise AssertionError("chosen, although it was said")

    monkeypatch.setattr(resolved, "choose_chunk", refuse)
    said = replace(Experiment(name="x"), evaluation=EvaluationConfig(chunk=7))
    assert settle_chunk(said, model) is said


def test_a_chosen_chunk_is_in_the_settings(model):
    experiment = Experiment(name="x", data=DataConfig(image_size=224))
    assert settle_chunk(experiment, model).evaluation.chunk == choose_chunk(model, (224, 224))
