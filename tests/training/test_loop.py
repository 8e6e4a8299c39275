"""Both stages by one loop: they log, save, resume to the bit, and leave the frozen part alone."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from castream_jax.checkpoints import digest
from castream_jax.config import ModelConfig, StageConfig
from castream_jax.errors import InputError
from castream_jax.models.classifier import create_model
from castream_jax.training import loop
from castream_jax.training.loop import train
from castream_jax.training.network import load_trained
from castream_jax.weights.convert import export_weights
from tests.training.small import small_experiment


@pytest.fixture(scope="module")
def trained(demo_directory, tmp_path_factory):
    """Return (experiment, workdir, trained network)."""
    experiment = small_experiment(str(demo_directory))
    workdir = tmp_path_factory.mktemp("run")
    return experiment, workdir, train(experiment, workdir)


def state_digest(model) -> str:
    return digest(jax.device_get(nnx.state(model)))


def test_the_run_leaves_checkpoints_and_logs(trained):
    experiment, workdir, model = trained
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in lines} == {"backbone", "stream"}
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    validated = [line for line in lines if "validation_accuracy_gap" in line]
    assert [line["step"] for line in validated] == [3, 6, 3, 6]
    assert "validation_accuracy_ca" in validated[-1]
    assert list((workdir / "tensorboard" / "stream").glob("events*"))
    assert state_digest(load_trained(experiment, workdir, 10)) == state_digest(model)


def test_the_frozen_part_is_the_backbone_stages(trained):
    experiment, workdir, model = trained
    gap = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, pooling="gap"))
    assert state_digest(load_trained(gap, workdir, 10)) == state_digest(model.poolings()["gap"])


def test_running_again_trains_nothing(trained):
    experiment, workdir, model = trained
    before = (workdir / "metrics.jsonl").read_text()
    assert state_digest(train(experiment, workdir)) == state_digest(model)
    assert (workdir / "metrics.jsonl").read_text() == before


def test_a_resumed_run_ends_with_the_same_bits(trained, tmp_path, monkeypatch):
    """Stop the stream's training after its first epoch, as a killed run is, and run it again."""
    experiment, _, model = trained

    class Killed(Exception):
        pass

    real = loop.TrainingLog.write_step

    def killed_in_the_second_epoch(self, step, *rest):
        if self.stage == "stream" and step > 3:
            raise Killed
        return real(self, step, *rest)

    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingLog, "write_step", killed_in_the_second_epoch)
        with pytest.raises(Killed):
            train(experiment, tmp_path)
    assert state_digest(load_trained(experiment, tmp_path, 10)) != state_digest(model)
    assert state_digest(train(experiment, tmp_path)) == state_digest(model)


def test_pretrained_weights_replace_the_first_stage(demo_directory, tmp_path):
    gap = create_model("resnet18_small", "gap", num_classes=10, seed=3)
    save_file(export_weights(gap), tmp_path / "weights.safetensors")
    experiment = small_experiment(
        str(demo_directory),
        weights=str(tmp_path / "weights.safetensors"),
        backbone=StageConfig(epochs=0),
        stream=StageConfig(epochs=1, batch_size=32),
    )
    model = train(experiment, tmp_path / "run")
    assert state_digest(model.poolings()["gap"]) == state_digest(gap)
    assert not (tmp_path / "run" / "checkpoints" / "backbone").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": StageConfig(epochs=0)}, "neither weights nor backbone.epochs"),
        ({"stream": StageConfig(epochs=1, batch_size=12)}, "multiple of 8, as 16"),
        ({"stream": StageConfig(epochs=1, batch_size=1000)}, "has 96 images only"),
        ({"model": ModelConfig(name="resnet19")}, "Did you mean 'resnet1"),
        ({"model": ModelConfig(name="resnet18_small", heads=3)}, "heads is 3"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(changes, said, demo_directory, tmp_path):
    with pytest.raises(InputError, match=said):
        train(small_experiment(str(demo_directory), **changes), tmp_path / "run")
    assert not list(tmp_path.rglob("*.jsonl"))
