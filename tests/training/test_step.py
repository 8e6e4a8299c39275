"""The training step: what it changes, what it never touches, and that devices do not matter."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from castream_jax.compute.sharding import create_mesh, replicate, replicated, shard_batch
from castream_jax.config import StageConfig
from castream_jax.models.classifier import create_model
from castream_jax.storage.array_trees import digest
from castream_jax.training.losses import LOSSES, distillation_loss
from castream_jax.training.optimizer import create_optimizer, create_schedule
from castream_jax.training.state import FILTERS, create_state, update_average
from castream_jax.training.step import create_train_step
from tests.networks import forward

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]

STAGE = StageConfig(epochs=1, optimizer="sgd", learning_rate=0.1)


def one_device_mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])


def batch_of(size: int, pixels: int = 32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (size, pixels, pixels, 3), dtype=np.uint8),
        "labels": rng.integers(0, 10, size).astype(np.int32),
    }


def train(stage: str, steps: int, mesh: jax.sharding.Mesh, pooling: str = "ca", settings: StageConfig = STAGE):
    """Return (first and last state, frozen before and after, losses, the step function); tests share them."""
    return train_once(stage, steps, mesh, pooling, settings)


@functools.cache
def train_once(stage: str, steps: int, mesh: jax.sharding.Mesh, pooling: str, settings: StageConfig):
    model = create_model("resnet18_small", pooling, num_classes=10)
    graphdef, params, statistics, frozen = nnx.split(model, *FILTERS[stage])
    optimizer = create_optimizer(settings, 100)
    state = create_state(params, statistics, optimizer, averaged=settings.ema > 0)
    before = jax.tree.map(np.array, (state, frozen))
    state, frozen = jax.device_put((state, frozen), replicated(mesh))
    step = create_train_step(graphdef, optimizer, stage, settings, 0, mesh)
    losses = []
    for _ in range(steps):
        state, metrics = step(state, frozen, shard_batch(batch_of(16), mesh))
        losses.append(float(metrics["loss"]))
    return before, (state, frozen), losses, step


def test_the_loss_is_that_of_the_score():
    """Of a step on one device, against the logits of the network itself."""
    model = create_model("resnet18_small", num_classes=10, score="sigmoid")
    batch = batch_of(16)
    _, logits, _ = forward(model, model.normalisation(batch["images"]))
    expected = LOSSES["sigmoid"](logits, jax.nn.one_hot(batch["labels"], 10)).mean()
    graphdef, params, statistics, frozen = nnx.split(model, *FILTERS["stream"])
    optimizer = create_optimizer(STAGE, 100)
    step = create_train_step(graphdef, optimizer, "stream", STAGE, 0, one_device_mesh())
    _, metrics = step(create_state(params, statistics, optimizer), frozen, batch)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(("stage", "pooling"), [("backbone", "gap"), ("stream", "ca")])
def test_the_loss_falls_and_the_step_compiles_once(stage, pooling):
    _, _, losses, step = train(stage, 8, create_mesh(), pooling)
    assert losses[-1] < losses[0]
    assert step._cache_size() == 1


def test_the_stream_stage_changes_the_stream_and_nothing_else():
    (state_before, frozen_before), (state, frozen), _, _ = train("stream", 4, create_mesh())
    assert digest(frozen_before) == digest(jax.device_get(frozen))
    assert jax.tree.leaves(state.statistics) == []
    paths = {path[0] for path, _ in nnx.to_flat_state(state.params)}
    assert paths == {"stream"}
    for before, after in zip(jax.tree.leaves(state_before.params), jax.tree.leaves(state.params), strict=True):
        assert not np.array_equal(before, after)


def test_the_optimizer_holds_the_stream_only():
    model = create_model("resnet18_small", num_classes=10)
    _, params, statistics, _ = nnx.split(model, *FILTERS["stream"])
    adamw = create_optimizer(StageConfig(epochs=1, optimizer="adamw"), 10)
    state = create_state(params, statistics, adamw)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim) == 2 * size


def test_the_backbone_stage_moves_batch_statistics():
    (state_before, _), (state, _), _, _ = train("backbone", 2, create_mesh(), "gap")
    assert digest(state_before.statistics) != digest(jax.device_get(state.statistics))


@pytest.mark.parametrize(("stage", "pooling"), [("backbone", "gap"), ("stream", "ca")])
def test_eight_devices_train_as_one(stage, pooling):
    assert jax.device_count() == 8
    _, _, one, _ = train(stage, 4, one_device_mesh(), pooling)
    _, _, eight, _ = train(stage, 4, create_mesh(), pooling)
    np.testing.assert_allclose(eight, one, rtol=2e-5)


def count_convolutions(function: Callable, *arguments: object) -> int:
    """Count the convolutions of a function as it is lowered for a GPU: on a CPU many of them are products."""
    traced = jax.jit(function).trace(*arguments)
    return traced.lower(lowering_platforms=("cuda",)).as_text().count("stablehlo.convolution")


def test_nothing_runs_backward_through_the_backbone():
    """A step of the stream holds exactly the forward's convolutions; one of the backbone many more."""
    mesh = create_mesh()
    model = create_model("resnet18_small", num_classes=10)
    pixels = 64  # smaller maps are convolved by products everywhere
    batch = {name: jnp.asarray(array) for name, array in batch_of(16, pixels).items()}
    convolutions = count_convolutions(lambda images: model.features(model.normalisation(images)), batch["images"])
    found = {}
    for stage, network in (("stream", model), ("backbone", model.poolings()["gap"])):
        graphdef, params, statistics, frozen = nnx.split(network, *FILTERS[stage])
        optimizer = create_optimizer(STAGE, 10)
        step = create_train_step(graphdef, optimizer, stage, STAGE, 0, mesh)
        found[stage] = count_convolutions(step, create_state(params, statistics, optimizer), frozen, batch)
    assert convolutions >= 9
    assert found["stream"] == convolutions
    assert found["backbone"] > 2 * convolutions


def test_the_loss_is_the_smoothed_cross_entropy():
    settings = dataclasses.replace(STAGE, label_smoothing=0.1)
    _, _, losses, _ = train("stream", 1, create_mesh(), settings=settings)
    model = create_model("resnet18_small", num_classes=10)
    batch = batch_of(16)
    logits = np.asarray(forward(model, model.normalisation(batch["images"]))[1], np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    targets = 0.9 * np.eye(10)[batch["labels"]] + 0.01
    np.testing.assert_allclose(losses[0], -(targets * log_probabilities).sum(1).mean(), rtol=1e-5)


def test_the_loss_of_distillation_asks_for_the_answers_of_gap():
    model = create_model("resnet18_small", num_classes=10)
    batch = batch_of(16)
    features, logits, _ = forward(model, model.normalisation(batch["images"]))
    taught = model.poolings()["gap"].head(features)[0]
    labels = LOSSES["softmax"](logits, jax.nn.one_hot(batch["labels"], 10)).mean()
    expected = 0.25 * labels + 0.75 * distillation_loss(logits, taught, 2.0, "softmax")
    settings = dataclasses.replace(STAGE, distillation=0.75, temperature=2.0)
    _, _, losses, _ = train("stream", 1, create_mesh(), settings=settings)
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)


def test_features_computed_before_are_as_good_as_images():
    _, (expected, _), losses, _ = train("stream", 3, one_device_mesh())
    model = create_model("resnet18_small", num_classes=10)
    batch = batch_of(16)
    features, _, _ = forward(model, model.normalisation(batch["images"]))
    given = {"labels": batch["labels"], "features": {tap: np.asarray(features[tap]) for tap in model.backbone.taps}}
    graphdef, params, statistics, frozen = nnx.split(model, *FILTERS["stream"])
    optimizer = create_optimizer(STAGE, 100)
    state, frozen = replicate((create_state(params, statistics, optimizer), frozen), one_device_mesh())
    step = create_train_step(graphdef, optimizer, "stream", STAGE, 0, one_device_mesh())
    found = []
    for _ in range(3):
        state, metrics = step(state, frozen, shard_batch(given, one_device_mesh()))
        found.append(float(metrics["loss"]))
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    for own, its in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(own, its, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_step_in_parts_is_the_same_step(parts):
    """Images of the stream's stage do not see each other, so the parts' means are the batch's."""
    _, (whole, _), losses, _ = train("stream", 3, one_device_mesh())
    _, (summed, _), same, _ = train(
        "stream", 3, one_device_mesh(), settings=dataclasses.replace(STAGE, accumulate=parts)
    )
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    for expected, found in zip(jax.tree.leaves(whole.params), jax.tree.leaves(summed.params), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_parts_move_batch_statistics_one_after_the_other():
    settings = dataclasses.replace(STAGE, accumulate=2)
    _, (state, _), losses, _ = train("backbone", 2, create_mesh(), "gap", settings)
    assert np.isfinite(losses).all()
    (before, _), (whole, _), _, _ = train("backbone", 2, create_mesh(), "gap")
    parts, once, start = (digest(jax.device_get(tree.statistics)) for tree in (state, whole, before))
    assert len({parts, once, start}) == 3


def test_the_average_follows_the_parameters():
    (before, _), (state, _), _, _ = train("stream", 1, create_mesh(), settings=dataclasses.replace(STAGE, ema=0.9))
    params, _ = state.average
    assert state.result is state.average
    for old, new, mean in zip(*map(jax.tree.leaves, (before.params, state.params, params)), strict=True):
        np.testing.assert_allclose(mean, 0.1 * old + 0.9 * np.asarray(new), rtol=1e-5, atol=1e-6)  # (1 + 0) / (10 + 0)


def test_the_average_is_no_less_slow_than_asked_for():
    one, zero = nnx.State({"a": jnp.ones(1)}), nnx.State({"a": jnp.zeros(1)})
    none = nnx.State({})
    (late, _) = update_average((one, none), (zero, none), 0.75, jnp.int32(1000))
    np.testing.assert_allclose(late["a"], 0.75)


def test_clipping_bounds_the_step():
    settings = dataclasses.replace(STAGE, clip_norm=1e-3, weight_decay=0.0, momentum=0.0)
    (before, _), (state, _), _, _ = train("stream", 1, create_mesh(), settings=settings)
    moved = jax.tree.map(lambda new, old: np.asarray(new) - old, state.params, before.params)
    np.testing.assert_allclose(optax.tree.norm(moved), 0.1 * 1e-3, rtol=1e-2)


def test_mixing_does_not_depend_on_the_devices():
    settings = dataclasses.replace(STAGE, mixup=0.2, cutmix=1.0)
    _, _, one, _ = train("stream", 4, one_device_mesh(), settings=settings)
    _, _, eight, _ = train("stream", 4, create_mesh(), settings=settings)
    _, _, plain, _ = train("stream", 4, create_mesh())
    np.testing.assert_allclose(eight, one, rtol=2e-5)
    assert not np.allclose(eight, plain, rtol=1e-4)


def reduced_sizes(step, *arguments) -> list[int]:
    """Return the number of elements of each array that a compiled step reduces over the devices."""
    text = step.lower(*arguments).compile().as_text()
    results = re.findall(r"= (.*?) all-reduce(?:-start)?\(", text)
    shapes = [shape for result in results for shape in re.findall(r"\w+\[([\d,]*)\]", result)]
    others = re.findall(r"(all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(", text)
    assert not others
    return [math.prod(int(side) for side in shape.split(",") if side) for shape in shapes]


@pytest.mark.parametrize("settings", [STAGE, StageConfig(epochs=1, mixup=0.2, cutmix=1.0)], ids=["plain", "mixed"])
def test_devices_send_each_other_the_streams_gradient_and_nothing_else(settings):
    mesh = create_mesh()
    model = create_model("resnet18_small", num_classes=10)
    graphdef, params, statistics, frozen = nnx.split(model, *FILTERS["stream"])
    optimizer = create_optimizer(settings, 10)
    state, frozen = replicate((create_state(params, statistics, optimizer), frozen), mesh)
    step = create_train_step(graphdef, optimizer, "stream", settings, 0, mesh)
    sizes = reduced_sizes(step, state, frozen, shard_batch(batch_of(16), mesh))
    gradient = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert gradient <= sum(sizes) <= gradient + 4  # and the means of loss and accuracy


def test_the_published_schedule_drops_at_each_third():
    schedule = create_schedule(StageConfig(epochs=90), 90)
    rates = [float(schedule(step)) for step in (0, 29, 30, 59, 60, 89)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


def test_the_cosine_schedule_warms_up_and_ends_at_zero():
    schedule = create_schedule(StageConfig(epochs=1, schedule="cosine", learning_rate=2.0, warmup=0.1), 100)
    np.testing.assert_allclose([schedule(0), schedule(5), schedule(10), schedule(100)], [0, 1, 2, 0], atol=1e-6)


def test_the_last_projection_may_stay_as_it_is():
    settings = dataclasses.replace(STAGE, keep_last_projection=True)
    (before, _), (state, _), _, _ = train("stream", 2, create_mesh(), settings=settings)
    pairs = zip(jax.tree.leaves_with_path(before.params), jax.tree.leaves(state.params), strict=True)
    same = {jax.tree_util.keystr(path, simple=True): np.array_equal(old, new) for (path, old), new in pairs}
    kept = {name for name, is_same in same.items() if is_same}
    assert kept == {name for name in same if "projections4" in name}
    assert len(kept) == 2


def test_weight_decay_reaches_the_token_and_the_biases():
    model = create_model("resnet18_small", num_classes=10)
    _, params, _, _ = nnx.split(model, *FILTERS["stream"])
    optimizer = create_optimizer(StageConfig(epochs=1, learning_rate=1.0, weight_decay=0.5, momentum=0.0), 10)
    zero = jax.tree.map(jnp.zeros_like, params)
    ones = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(ones), ones)
    for leaf in jax.tree.leaves(optax.apply_updates(ones, updates)):
        np.testing.assert_allclose(leaf, 0.5)
