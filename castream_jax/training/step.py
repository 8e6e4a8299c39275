"""The compiled training step, which serves both stages."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array

from castream_jax.compute.sharding import batched, replicated, split_images
from castream_jax.config import StageConfig
from castream_jax.models.classifier import Classifier, Features
from castream_jax.training.losses import distillation_loss, label_loss
from castream_jax.training.mixing import mix_pairs
from castream_jax.training.state import TrainState, update_average
from castream_jax.training.targets import make_targets, share_right

Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, nnx.State, dict[str, Any]], tuple[TrainState, Metrics]]


def create_train_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    stage: str,
    settings: StageConfig,
    seed: int,
    mesh: Mesh,
) -> TrainStep:
    """Return the compiled step `(state, frozen, batch) -> (state, metrics)`.

    In stage "stream" only the poolings are differentiated, each by its own loss: the backbone's features are computed
    before, once for all, so nothing runs backward there, and its batch statistics stay as they are. The state is
    donated.
    A batch holds `labels`, and `images` uint8 or, where poolings are trained, `features`, computed earlier.
    The loss is that of the network's score: cross entropy under a softmax; under a sigmoid binary cross entropy with
    the targets, summed over the classes; `settings.distillation` of it is how far the GAP network's answers are.
    Metrics are `loss` and `accuracy` (`targets.share_right`), means over the batch, `gradient_norm`, before clipping,
    and `parameter_norm`, after the step: it is finite only if all that was trained is. Of several poolings each has its
    own (`name_metric`).
    """
    train_backbone = stage == "backbone"

    def compute_features(states: tuple[nnx.State, ...], inputs: Array) -> Features:
        model: Classifier = nnx.merge(graphdef, *states, copy=True)
        return model.features(inputs)

    def compute_loss(params: nnx.State, statistics: nnx.State, frozen: nnx.State, part: dict[str, Any]) -> Any:
        model: Classifier = nnx.merge(graphdef, params, statistics, frozen, copy=True)
        features = model.features(part["inputs"], train=True) if train_backbone else part["features"]
        poolings, trained = model.poolings(), list_trained(model, stage)
        total = jnp.zeros(())
        metrics: Metrics = {}
        for pooling in trained:
            logits, _ = poolings[pooling].head(features)
            loss = label_loss(logits, part["targets"], model.score)
            if settings.distillation:
                taught, _ = poolings["gap"].head(features)
                distance = distillation_loss(logits, taught, settings.temperature, model.score)
                loss = (1 - settings.distillation) * loss + settings.distillation * distance
            metrics |= {
                name_metric("loss", pooling, trained): loss,
                name_metric("accuracy", pooling, trained): share_right(logits, part["labels"]),
            }
            total = total + loss  # of parameters that are no other's: each pooling's gradient is that of its own loss
        moved = nnx.state(model, nnx.BatchStat) if train_backbone else statistics
        return total, (metrics, moved)

    def train_step(state: TrainState, frozen: nnx.State, batch: dict[str, Any]) -> tuple[TrainState, Metrics]:
        model: Classifier = nnx.merge(graphdef, state.params, state.statistics, frozen, copy=True)
        targets = make_targets(batch["labels"], model.num_classes, settings.label_smoothing)
        if "features" in batch:
            seen = {"features": batch["features"]}
        else:
            inputs = model.normalisation(batch["images"])
            if settings.mixup or settings.cutmix:
                key = jax.random.fold_in(jax.random.key(seed), state.step)  # whatever the devices, or resumed or not
                inputs, targets = mix_pairs(key, inputs, targets, settings.mixup, settings.cutmix)
            seen = {"inputs": inputs}

        def measure(statistics: nnx.State, part: dict[str, Any]) -> tuple[nnx.State, Metrics, nnx.State]:
            if "features" not in part and not train_backbone:
                trunk = split_images(compute_features, mesh)
                part = part | {"features": trunk((state.params, statistics, frozen), part["inputs"])}
            gradient = jax.grad(compute_loss, has_aux=True)
            gradients, (metrics, statistics) = gradient(state.params, statistics, frozen, part)
            return gradients, metrics, statistics

        parts = split_parts(seen | {"targets": targets, "labels": batch["labels"]}, settings.accumulate)
        gradients, metrics, statistics = accumulate(measure, state.statistics, parts)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            average = update_average(average, (params, statistics), settings.ema, state.step)
        trained = list_trained(model, stage)
        for pooling, part in trained.items():
            of = (gradients, (params, statistics)) if len(trained) == 1 else (gradients[part], params[part])
            metrics[name_metric("gradient_norm", pooling, trained)] = optax.tree.norm(of[0])
            metrics[name_metric("parameter_norm", pooling, trained)] = optax.tree.norm(of[1])
        return TrainState(state.step + 1, params, statistics, opt_state, average), metrics

    everywhere, split = replicated(mesh), batched(mesh)
    return jax.jit(
        train_step,
        in_shardings=(everywhere, everywhere, split),
        out_shardings=(everywhere, everywhere),
        donate_argnums=0,
    )


def list_trained(model: Classifier, stage: str) -> dict[str, str]:
    """Return the poolings that a stage trains, each with the name that its arrays stand under in the network.

    Stage "backbone" trains global average pooling's network, which has none of its own.
    """
    choices = model.choices if stage == "stream" else ()
    return {choice.text: choice.part for choice in choices if choice.trains} or {"gap": ""}


def name_metric(metric: str, pooling: str, trained: Collection[str]) -> str:
    """Return what a pooling's metric is called in logs: of the only one that is trained by the metric's name alone."""
    return metric if len(trained) == 1 else f"{metric}_{pooling}"


def split_parts(batch: dict[str, Any], parts: int) -> dict[str, Any]:
    """Return a batch's arrays [B ...] cut into parts [parts b ...], image i in part i modulo `parts`.

    So each device keeps its own images.
    """
    return jax.tree.map(
        lambda array: array.reshape(array.shape[0] // parts, parts, *array.shape[1:]).swapaxes(0, 1), batch
    )


def accumulate(
    measure: Callable[[nnx.State, dict[str, Array]], tuple[nnx.State, Metrics, nnx.State]],
    statistics: nnx.State,
    parts: dict[str, Any],
) -> tuple[nnx.State, Metrics, nnx.State]:
    """Return the means of gradients and metrics over parts of a batch, and the statistics after the last part.

    One part after the other, so that the memory is that of one.
    """
    first = jax.tree.map(lambda array: array[0], parts)
    count = len(parts["labels"])
    if count == 1:
        return measure(statistics, first)

    def add(sums: tuple[nnx.State, Metrics, nnx.State], part: dict[str, Array]) -> Any:
        gradients, metrics, statistics = measure(sums[2], part)
        return (*jax.tree.map(jnp.add, sums[:2], (gradients, metrics)), statistics), None

    shapes = jax.eval_shape(measure, statistics, first)[:2]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    (gradients, metrics, statistics), _ = jax.lax.scan(add, (*zeros, statistics), parts)
    gradients, metrics = jax.tree.map(lambda total: total / count, (gradients, metrics))
    return gradients, metrics, statistics
