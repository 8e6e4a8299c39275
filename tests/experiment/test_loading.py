"""The network that training starts from, and what is said of its weights."""

import logging

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from castream_jax import InputError, export_weights
from castream_jax.config import Experiment, ModelConfig
from castream_jax.errors import NotTrained
from castream_jax.experiment import loading
from castream_jax.experiment.loading import build_network, checkpoint_directory, load_trained, note_training
from castream_jax.models.description import describe_network
from castream_jax.storage.checkpoints import Checkpoints
from tests.networks import small_resnet
from tests.weights.archives import save


@pytest.fixture
def checkpoint(tmp_path):
    """Return a file with the weights of a GAP network, and their average, which is their double."""
    weights = export_weights(small_resnet("gap"))
    doubled = {key: 2 * array for key, array in weights.items()}
    return str(save(tmp_path / "weights.pth", {"state_dict": weights, "state_dict_ema": doubled}))


@pytest.mark.parametrize("average", [False, True])
def test_the_average_is_a_setting(checkpoint, average):
    experiment = Experiment(
        "test", model=ModelConfig("resnet18_small", "gap"), weights=checkpoint, weights_average=average
    )
    found = build_network(experiment, 5).classifier.linear.bias[...]
    np.testing.assert_array_equal(found, small_resnet("gap").classifier.linear.bias[...] * (1 + average))


def test_a_stream_to_be_trained_is_no_warning_and_a_trained_one_not_fresh(checkpoint, tmp_path, caplog):
    experiment = Experiment("test", model=ModelConfig("resnet18_small", "ca"), weights=checkpoint)
    with caplog.at_level(logging.INFO, logger="castream_jax"):
        model = build_network(experiment, 5)
    assert [record.levelname for record in caplog.records if "fresh" in record.message] == ["INFO"]
    assert "fresh" in model.notes[0]
    with Checkpoints(checkpoint_directory(tmp_path, "stream")) as checkpoints:
        checkpoints.save(7, {"model": nnx.state(model)}, {})
    assert load_trained(experiment, tmp_path, 5).notes == ()


def test_weights_that_hold_a_stream_are_trained_already(checkpoint, tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_file(export_weights(small_resnet("ca")), whole)
    experiment = Experiment("test", model=ModelConfig("resnet18_small", "ca"), weights=str(whole))
    found = load_trained(experiment, tmp_path / "run", 5)
    assert found.notes == ()
    np.testing.assert_array_equal(found.stream.query[...], small_resnet("ca").stream.query[...])
    half = Experiment("test", model=ModelConfig("resnet18_small", "ca"), weights=checkpoint)
    with pytest.raises(NotTrained, match=r"no checkpoint in .*stream, and the weights are of a GAP network"):
        load_trained(half, tmp_path / "run", 5)


def test_published_weights_are_not_fetched_to_see_that_they_hold_no_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load_weights", None)
    experiment = Experiment("test", model=ModelConfig("resnet50", "ca"), weights="resnet50.tv_in1k")
    with pytest.raises(NotTrained, match="there is no checkpoint in .*: train a network first"):
        load_trained(experiment, tmp_path / "run", 1000)


def test_the_score_is_that_of_the_weights(tmp_path):
    model = small_resnet("gap")
    model.score = "sigmoid"
    with Checkpoints(checkpoint_directory(tmp_path, "backbone")) as checkpoints:
        checkpoints.save(7, {"model": nnx.state(model)}, {"network": describe_network(model)})
    sigmoid = Experiment("test", model=ModelConfig("resnet18_small", "gap", score="sigmoid"))
    assert load_trained(sigmoid, tmp_path, 5).score == "sigmoid"
    with pytest.raises(InputError, match="was trained for 'sigmoid': set --config.model.score=sigmoid"):
        load_trained(Experiment("test", model=ModelConfig("resnet18_small", "gap")), tmp_path, 5)
    others = Experiment(
        "test", model=ModelConfig("resnet18_small", "gap"), weights=str(tmp_path), replace_classifier=True
    )
    assert build_network(others, 7).score == "softmax"


def test_short_and_unfinished_training_is_noted():
    saved = {
        "config": {"stream": {"epochs": 10, "batch_size": 32, "ema": 0.0}},
        "dataset": {"images": 1000},
    }
    assert list(note_training("stream", 310, saved)) == []
    assert list(note_training("stream", 30, saved)) == [
        "training is unfinished: it had taken 30 of the 310 steps of stage stream"
    ]
    saved["config"]["stream"] |= {"epochs": 1, "ema": 0.9}
    averaged, short = note_training("stream", 31, saved)
    assert averaged == "the weights are a moving average over training (stream.ema=0.9)"
    assert short == "stage stream is trained by 31 steps: fewer than 100 teach a network little"
    assert list(note_training("stream", 3, {})) == []
