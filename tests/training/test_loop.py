"""Both stages by one loop: they log, save, resume to the bit, and leave the frozen part alone."""

import dataclasses
import json
import logging
import os
import resource
import shutil
import signal

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from castream_jax.config import ModelConfig, StageConfig
from castream_jax.errors import InputError, RunError, Stopped
from castream_jax.evaluation.runner import evaluate
from castream_jax.experiment.loading import load_trained
from castream_jax.models.classifier import create_model
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.storage.array_trees import digest
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.training import stage
from castream_jax.training.loop import train
from castream_jax.training.state import split_state
from castream_jax.weights.convert import export_weights
from castream_jax.weights.files import load_weights
from tests.training.small import killed_in_the_second_epoch, small_experiment

pytestmark = [pytest.mark.usefixtures("shallow", "remembered"), pytest.mark.slow]


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


def test_what_training_used_travels_with_the_network(trained):
    experiment, workdir, _ = trained
    loaded = load_weights(create_model("resnet18_small", num_classes=10), workdir)
    assert loaded.preprocessing == Preprocessing(32)
    assert loaded.class_names == tuple(map(str, range(10)))
    open_size = dataclasses.replace(experiment.data, image_size=0)
    assert load_trained(dataclasses.replace(experiment, data=open_size), workdir, 10).preprocessing == Preprocessing(32)


def test_another_normalisation_travels_and_is_used(demo_directory, tmp_path):
    half = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    experiment = small_experiment(str(demo_directory))
    experiment = dataclasses.replace(
        experiment,
        data=dataclasses.replace(experiment.data, **half),
        model=ModelConfig(name="resnet18_small", pooling="gap"),
        backbone=dataclasses.replace(experiment.backbone, epochs=1),
    )
    model = train(experiment, tmp_path)
    assert model.normalisation == Normalisation(**half)
    silent = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, mean=(), std=()))
    assert load_trained(silent, tmp_path, 10).normalisation == Normalisation(**half)
    told = dataclasses.replace(experiment.data, mean=IMAGENET.mean, std=IMAGENET.std)
    assert load_trained(dataclasses.replace(experiment, data=told), tmp_path, 10).normalisation == IMAGENET


def test_running_again_trains_nothing(trained):
    experiment, workdir, model = trained
    before = (workdir / "metrics.jsonl").read_text()
    assert state_digest(train(experiment, workdir)) == state_digest(model)
    assert (workdir / "metrics.jsonl").read_text() == before


def test_a_resumed_run_ends_with_the_same_bits(trained, tmp_path):
    """Stop the stream's training after its first epoch, as a killed run is, and run it again."""
    experiment, _, model = trained
    with killed_in_the_second_epoch():
        train(experiment, tmp_path)
    assert state_digest(load_trained(experiment, tmp_path, 10)) != state_digest(model)
    assert state_digest(train(experiment, tmp_path)) == state_digest(model)


def test_the_summary_says_what_the_run_was(trained):
    _, workdir, model = trained
    summary = json.loads((workdir / "summary.json").read_text())
    assert (summary["stage"], summary["steps"], summary["devices"], summary["bad_records"]) == ("stream", 6, 8, 0)
    assert 0 <= summary["data_wait_share"] <= 1
    assert summary["images_per_second"] > 0
    assert summary["peak_memory_bytes"] > 1e7
    params, statistics, frozen = split_state(nnx.state(model), "stream")
    assert summary["params_sha256"] == digest(jax.device_get((params, statistics)))
    assert summary["frozen_sha256"] == digest(jax.device_get(frozen))
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert summary["accuracy"] == lines[-1]["validation_accuracy_ca"]
    assert summary["accuracy_gap"] == lines[-1]["validation_accuracy_gap"]


def test_a_run_killed_before_its_summary_writes_it_when_run_again(trained, tmp_path):
    experiment, workdir, _ = trained
    copy = shutil.copytree(workdir, tmp_path / "copy")
    before = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps(before | {"stage": "backbone"}))  # as stage `backbone` left it
    train(experiment, copy)
    after = json.loads((copy / "summary.json").read_text())
    assert after["images_per_second"] is None  # nothing was measured
    measured = ("images_per_second", "data_wait_share", "peak_memory_bytes")
    assert {key: value for key, value in after.items() if key not in measured} == {
        key: value for key, value in before.items() if key not in measured
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, r"seed \(0 there, 1 here\)"),
        ({"stream": StageConfig(epochs=3, batch_size=32)}, r"stream.epochs \(2 there, 3 here\), stream.optimizer"),
        ({"data": {"crop_scale": 0.5}}, r"data.crop_scale \(0.8 there, 0.5 here\)"),
    ],
)
def test_another_experiment_is_refused_and_nothing_is_lost(changes, said, trained, tmp_path):
    experiment, workdir, _ = trained
    copy = shutil.copytree(workdir, tmp_path / "copy")
    if isinstance(changes.get("data"), dict):
        changes = {"data": dataclasses.replace(experiment.data, **changes["data"])}
    with pytest.raises(InputError, match=said):
        train(dataclasses.replace(experiment, **changes), copy)
    files = [path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()]
    assert all((copy / file).read_bytes() == (workdir / file).read_bytes() for file in files)


def test_settings_that_change_nothing_trained_may_change(trained):
    experiment, workdir, model = trained
    changed = dataclasses.replace(
        experiment,
        name="other",
        evaluation=dataclasses.replace(experiment.evaluation, num_images=1),
        data=dataclasses.replace(experiment.data, workers=2, on_bad_record="skip"),
        stream=dataclasses.replace(experiment.stream, save_every=1, log_every=1),
    )
    assert state_digest(train(changed, workdir)) == state_digest(model)


def test_an_infinite_loss_stops_and_names_step_and_checkpoint(demo_directory, tmp_path):
    settings = StageConfig(epochs=4, batch_size=32, learning_rate=1e12, save_every=1, log_every=1)
    experiment = small_experiment(str(demo_directory), backbone=settings)
    with pytest.raises(RunError, match=r"at step 2 of stage backbone.*checkpoint is .*checkpoints/backbone/1\."):
        train(experiment, tmp_path)
    with Checkpoints(tmp_path / "checkpoints" / "backbone") as checkpoints:
        assert checkpoints.steps() == [1]


def test_parameters_that_are_not_finite_are_never_saved(demo_directory, tmp_path):
    """The loss and gradient of the only step are finite; the parameters after it are not."""
    settings = StageConfig(epochs=1, batch_size=96, learning_rate=1e38, weight_decay=1e5)
    with pytest.raises(RunError, match=r"parameter_norm is (inf|nan) at step 1 .*There is no checkpoint"):
        train(small_experiment(str(demo_directory), backbone=settings), tmp_path)
    assert not (tmp_path / "summary.json").exists()


def test_a_request_to_stop_saves_and_the_run_goes_on_to_the_same_end(trained, tmp_path, monkeypatch):
    experiment, _, model = trained
    real = stage.TrainingLog.add

    def ask(self, step, *rest):
        if self.stage == "stream" and step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(stage.TrainingLog, "add", ask)
        with pytest.raises(Stopped, match="after step 4 of 6 of stage stream"):
            train(experiment, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert (tmp_path / "checkpoints" / "stream" / "4").is_dir()
    assert state_digest(train(experiment, tmp_path)) == state_digest(model)


# Orbax drops its other writes when one fails, and Python complains as they end (`command.hide_dropped_writes`).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_keeps_the_last_good_checkpoint_and_says_so(trained, tmp_path, monkeypatch, caplog):
    """Files may not grow past a limit while the second and the last checkpoint of stage `backbone` are saved."""
    experiment, _, model = trained
    real, soft = stage.Checkpoints.save, resource.getrlimit(resource.RLIMIT_FSIZE)[0]

    def save(self, step, *rest):
        full = step >= 4
        limit = 100_000 if full else soft
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            real(self, step, *rest)
            self._wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    experiment = dataclasses.replace(experiment, backbone=dataclasses.replace(experiment.backbone, save_every=2))
    with monkeypatch.context() as patch:
        patch.setattr(stage.Checkpoints, "save", save)
        with pytest.raises(RunError, match=r"step 6 could not be saved .*File too large.*backbone/2\. Make room"):
            train(experiment, tmp_path)
    assert "the checkpoint after step 4 could not be saved" in caplog.text
    with Checkpoints(tmp_path / "checkpoints" / "backbone") as checkpoints:
        assert checkpoints.steps() == [2]
    assert state_digest(train(experiment, tmp_path)) == state_digest(model)


def test_a_full_memory_is_no_traceback(demo_directory, tmp_path, monkeypatch):
    def fails(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(stage, "create_train_step", lambda *_: fails)
    with pytest.raises(RunError, match=r"memory is full in stage backbone .* --config.backbone.accumulate"):
        train(small_experiment(str(demo_directory)), tmp_path)


def test_the_average_is_the_result_and_is_resumed(demo_directory, tmp_path):
    settings = StageConfig(epochs=2, batch_size=32, learning_rate=0.01, ema=0.5, validate_every=2, save_every=2)
    experiment = small_experiment(str(demo_directory), stream=settings)
    model = train(experiment, tmp_path / "whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation_accuracy_ca" in line] == [2, 4, 6]
    assert state_digest(load_trained(experiment, tmp_path / "whole", 10)) == state_digest(model)
    last = tmp_path / "whole" / "checkpoints" / "stream" / "6"
    shutil.rmtree(last)
    (tmp_path / "whole" / "summary.json").unlink()
    assert state_digest(train(experiment, tmp_path / "whole")) == state_digest(model)
    plain = dataclasses.replace(experiment, stream=dataclasses.replace(settings, ema=0.0))
    assert state_digest(train(plain, tmp_path / "plain")) != state_digest(model)


def test_pretrained_weights_replace_the_first_stage(demo_directory, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "castream_jax")
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
    assert sum("guessing one of 10 classes" in text for text in caplog.messages) == 1  # these weights know nothing

    moved, others = tmp_path / "moved.safetensors", tmp_path / "others.safetensors"
    (tmp_path / "weights.safetensors").rename(moved)
    assert state_digest(train(experiment, tmp_path / "run")) == state_digest(model)
    assert "Going on with the network of" in caplog.text  # which the checkpoint holds whole
    again = train(dataclasses.replace(experiment, weights=str(moved)), tmp_path / "run")
    assert state_digest(again) == state_digest(model)
    save_file(export_weights(create_model("resnet18_small", "gap", num_classes=10, seed=4)), others)
    with pytest.raises(InputError, match=r"was trained from the weights '.*weights\.safetensors', and '.*' are others"):
        train(dataclasses.replace(experiment, weights=str(others)), tmp_path / "run")
    with pytest.raises(InputError, match="gone"):
        train(dataclasses.replace(experiment, weights=str(tmp_path / "gone")), tmp_path / "run")

    asked = dataclasses.replace(experiment.evaluation, attributions=("attention",), metrics=("AD",), num_images=8)
    evaluation = evaluate(dataclasses.replace(experiment, evaluation=asked), tmp_path / "run")
    assert set(evaluation.accuracy.untrained) == {"ca"}  # a stream from its seed on what the checkpoint holds


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": StageConfig(epochs=0)}, "neither weights nor backbone.epochs"),
        ({"stream": StageConfig(epochs=1, batch_size=12)}, "multiple of 8, as 16"),
        ({"stream": StageConfig(epochs=1, batch_size=800, accumulate=100)}, "has 96 images only.*at least 800"),
        ({"model": ModelConfig(name="resnet19")}, "Did you mean 'resnet1"),
        ({"model": ModelConfig(name="resnet18_small", heads=3)}, "heads is 3"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(changes, said, demo_directory, tmp_path):
    with pytest.raises(InputError, match=said):
        train(small_experiment(str(demo_directory), **changes), tmp_path / "run")
    assert not list(tmp_path.rglob("*.jsonl"))
