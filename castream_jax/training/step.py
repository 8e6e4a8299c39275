"""The compiled training step, which serves both stages."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Shaped

from castream_jax.compute.sharding import batched, replicated, split_images
from castream_jax.config import StageConfig
from castream_jax.models.classifier import Classifier, Features
from castream_jax.models.scores import name_score
from castream_jax.training.mixing import mix_pairs
from castream_jax.training.state import TrainState, update_average

Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, nnx.State, dict[str, Array]], tuple[TrainState, Metrics]]


def sigmoid_cross_entropy(logits: Float[Array, "B K"], targets: Float[Array, "B K"]) -> Float[Array, "B"]:
    """Return each image's binary cross entropy, summed over the classes: each is right or wrong by itself."""
    return optax.sigmoid_binary_cross_entropy(logits, targets).sum(-1)


LOSSES = {"softmax": optax.softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy}
"""By score, for each image: the negative log likelihood of the targets."""


def create_train_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    stage: str,
    settings: StageConfig,
    seed: int,
    mesh: Mesh,
) -> TrainStep:
    """Return the compiled step `(state, frozen, batch) -> (state, metrics)`.

    In stage "stream" only the stream is differentiated: the backbone's features are computed before, so nothing runs
    backward there, and its batch statistics stay as they are. The state is donated.
    The loss is that of the network's score: cross entropy under a softmax; under a sigmoid binary cross entropy with
    the targets, summed over the classes.
    Metrics are `loss` and `accuracy`, means over the batch, `gradient_norm`, before clipping, and `parameter_norm`,
    after the step: it is finite only if all that was trained is.
    """
    train_backbone = stage == "backbone"

    def compute_features(states: tuple[nnx.State, ...], inputs: Array) -> Features:
        model: Classifier = nnx.merge(graphdef, *states, copy=True)
        return model.features(inputs)

    def compute_loss(params: nnx.State, statistics: nnx.State, frozen: nnx.State, part: dict[str, Any]) -> Any:
        model: Classifier = nnx.merge(graphdef, params, statistics, frozen, copy=True)
        features = model.features(part["inputs"], train=True) if train_backbone else part["features"]
        logits, _ = model.head(features)
        loss = LOSSES[name_score(model.score)](logits, part["targets"]).mean()
        accuracy = jnp.where(logits.argmax(-1) == part["labels"], 1.0, 0.0).mean()
        moved = nnx.state(model, nnx.BatchStat) if train_backbone else statistics
        return loss, ({"loss": loss, "accuracy": accuracy}, moved)

    def train_step(state: TrainState, frozen: nnx.State, batch: dict[str, Array]) -> tuple[TrainState, Metrics]:
        model: Classifier = nnx.merge(graphdef, state.params, state.statistics, frozen, copy=True)
        inputs = model.normalisation(batch["images"])
        targets = optax.smooth_labels(jax.nn.one_hot(batch["labels"], model.num_classes), settings.label_smoothing)
        if settings.mixup or settings.cutmix:
            key = jax.random.fold_in(jax.random.key(seed), state.step)  # whatever the devices, or resumed or not
            inputs, targets = mix_pairs(key, inputs, targets, settings.mixup, settings.cutmix)

        def measure(statistics: nnx.State, part: dict[str, Any]) -> tuple[nnx.State, Metrics, nnx.State]:
            if not train_backbone:
                trunk = split_images(compute_features, mesh)
                part = part | {"features": trunk((state.params, statistics, frozen), part["inputs"])}
            gradient = jax.grad(compute_loss, has_aux=True)
            gradients, (metrics, statistics) = gradient(state.params, statistics, frozen, part)
            return gradients, metrics, statistics

        parts = split_parts({"inputs": inputs, "targets": targets, "labels": batch["labels"]}, settings.accumulate)
        gradients, metrics, statistics = accumulate(measure, state.statistics, parts)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            average = update_average(average, (params, statistics), settings.ema, state.step)
        metrics["gradient_norm"] = optax.tree.norm(gradients)
        metrics["parameter_norm"] = optax.tree.norm((params, statistics))
        return TrainState(state.step + 1, params, statistics, opt_state, average), metrics

    everywhere, split = replicated(mesh), batched(mesh)
    return jax.jit(
        train_step,
        in_shardings=(everywhere, everywhere, split),
        out_shardings=(everywhere, everywhere),
        donate_argnums=0,
    )


def split_parts(batch: dict[str, Array], parts: int) -> dict[str, Shaped[Array, "parts b ..."]]:
    """Return a batch cut into parts, image i in part i modulo `parts`: each device keeps its own images."""
    return {
        name: array.reshape(array.shape[0] // parts, parts, *array.shape[1:]).swapaxes(0, 1)
        for name, array in batch.items()
    }


def accumulate(
    measure: Callable[[nnx.State, dict[str, Array]], tuple[nnx.State, Metrics, nnx.State]],
    statistics: nnx.State,
    parts: dict[str, Array],
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
