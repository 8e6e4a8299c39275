"""Several poolings trained in one run: each as if it were alone, from one pass of the trunk."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.compute.sharding import create_mesh, replicate, shard_batch
from castream_jax.config import ModelConfig, StageConfig
from castream_jax.experiment.loading import load_trained
from castream_jax.models.classifier import create_model
from castream_jax.storage.array_trees import digest
from castream_jax.training.loop import train
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.state import FILTERS, create_state, split_state
from castream_jax.training.step import create_train_step, list_trained, name_metric
from tests.goldens import assert_close
from tests.training.small import killed_in_the_second_epoch, small_experiment

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]

FIVE = ("ca", "simpool", "ep(queries=8)", "gem", "ca(taps=stage3+stage4, keys_values=learned)")
CLIPPED = StageConfig(epochs=1, optimizer="adamw", learning_rate=1e-3, clip_norm=0.1, label_smoothing=0.1)


@functools.cache
def features() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the taps of some random images, and labels."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((8, 32, 32, 3)).astype(np.float32)
    found = jax.jit(create_model("resnet18_small", "gap", num_classes=10).backbone.features)(images)
    return {name: np.asarray(values) for name, values in found.items()}, rng.integers(0, 10, 8).astype(np.int32)


@functools.cache
def trained(poolings: tuple[str, ...], steps: int, settings: StageConfig = CLIPPED):
    """Return the network after some steps, the metrics of the last, and the digests of what is frozen."""
    mesh = create_mesh()
    model = create_model("resnet18_small", poolings, num_classes=10)
    graphdef, params, statistics, frozen = nnx.split(model, *FILTERS["stream"])
    optimizer = create_optimizer(settings, 100, tuple(list_trained(model, "stream").values()))
    state, frozen = replicate((create_state(params, statistics, optimizer), frozen), mesh)
    before = digest(frozen)
    step = create_train_step(graphdef, optimizer, "stream", settings, 0, mesh)
    maps, labels = features()
    for _ in range(steps):
        state, metrics = step(state, frozen, shard_batch({"features": maps, "labels": labels}, mesh))
    model = nnx.merge(graphdef, *jax.device_get((state.params, state.statistics, frozen)))
    return model, jax.tree.map(float, jax.device_get(metrics)), (before, digest(frozen))


@pytest.mark.parametrize("pooling", FIVE)
def test_each_of_five_is_what_it_is_alone(pooling):
    together, metrics, (before, after) = trained(FIVE, 20)
    alone, own, _ = trained((pooling,), 20)
    part = alone.choices[0].part
    theirs, mine = (dict(nnx.to_flat_state(nnx.state(getattr(each, part), nnx.Param))) for each in (together, alone))
    assert theirs.keys() == mine.keys()
    assert mine
    for path, variable in mine.items():
        assert_close(theirs[path][...], variable[...], relative=1e-6)
    for name, value in own.items():
        np.testing.assert_allclose(metrics[f"{name}_{pooling}"], value, rtol=1e-5)
    assert before == after


def test_all_of_them_learn():
    _, first, _ = trained(FIVE, 1)
    _, last, _ = trained(FIVE, 20)
    for pooling in FIVE:
        assert last[f"loss_{pooling}"] < first[f"loss_{pooling}"]


def test_what_has_nothing_to_train_takes_no_part():
    model = create_model("resnet18_small", "ca, max, gem(trained=false)", num_classes=10)
    assert list(list_trained(model, "stream")) == ["ca"]
    paths = [path for path, _ in nnx.to_flat_state(split_state(nnx.state(model), "stream")[0])]
    assert {path[0] for path in paths} == {"stream"}
    assert list_trained(model, "backbone") == {"gap": ""}
    assert name_metric("loss", "ca", ["ca"]) == "loss"
    assert name_metric("loss", "ca", ["ca", "gem"]) == "loss_ca"


def test_one_that_is_not_trained_stays_as_it_is_created():
    pair = ("ca", "ca(trained=false)", "class_attention(trained=false)")
    after, metrics, (before, frozen) = trained(pair, 3)
    fresh = create_model("resnet18_small", pair, num_classes=10)
    assert before == frozen
    assert "loss" in metrics
    for choice in fresh.choices[1:]:
        assert digest(nnx.state(getattr(after, choice.part))) == digest(nnx.state(getattr(fresh, choice.part)))
    created = digest(nnx.state(fresh.stream))
    assert digest(nnx.state(after.stream)) != created
    assert digest(nnx.state(fresh.ca_trained_false)) == created  # both begin alike


def several(directory: str, **changes: object):
    """Return a small experiment of three poolings."""
    model = ModelConfig(name="resnet18_small", pooling="ca, simpool, gem, max")
    return small_experiment(directory, model=model, **changes)


def test_a_run_that_was_killed_goes_on_to_the_bit(demo_directory, tmp_path):
    experiment = several(str(demo_directory))
    whole = train(experiment, tmp_path / "whole")
    with killed_in_the_second_epoch():
        train(experiment, tmp_path / "killed")
    resumed = train(experiment, tmp_path / "killed")
    assert digest(nnx.state(resumed)) == digest(nnx.state(whole))
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert list(summary["accuracies"]) == ["gap", "ca", "simpool", "gem", "max"]
    assert summary["accuracy"] == summary["accuracies"]["ca"]
    lines = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert any("loss_simpool" in line and "gradient_norm_gem" in line for line in lines)
    assert any("validation_accuracy_max" in line for line in lines)
    loaded = load_trained(experiment, tmp_path / "killed", 10)
    assert digest(nnx.state(loaded)) == digest(nnx.state(whole))
    assert list(loaded.poolings()) == ["gap", "ca", "simpool", "gem", "max"]
    with pytest.raises(InputError, match="model.pooling"):
        train(dataclasses.replace(experiment, model=ModelConfig(name="resnet18_small")), tmp_path / "killed")


def test_of_a_trunk_that_is_trained_alone_the_poolings_are_as_created(demo_directory, tmp_path):
    model = ModelConfig(name="resnet18_small", pooling="ca(trained=false), max")
    experiment = small_experiment(str(demo_directory), model=model)
    trained_model = train(experiment, tmp_path)
    loaded = load_trained(experiment, tmp_path, 10)
    assert digest(nnx.state(loaded)) == digest(nnx.state(trained_model))
    fresh = create_model("resnet18_small", "ca(trained=false)", num_classes=10, seed=experiment.seed)
    assert digest(nnx.state(loaded.ca_trained_false)) == digest(nnx.state(fresh.ca_trained_false))


def test_the_accuracy_of_a_run_is_that_of_what_it_trains(demo_directory, tmp_path):
    model = ModelConfig(name="resnet18_small", pooling="max, ca")
    train(small_experiment(str(demo_directory), model=model), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["accuracies"]["ca"] != summary["accuracies"]["max"]
    assert summary["accuracy"] == summary["accuracies"]["ca"]
