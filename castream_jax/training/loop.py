"""The training loop: one for both stages.

    1. build the network from the config's seed
    2. stage `backbone` trains its GAP part from scratch, or the weights are loaded
    3. stage `stream` trains the stream alone; backbone and classifier never change again

Each stage resumes from its newest whole checkpoint.
"""

from pathlib import Path
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh

from castream_jax.checkpoints import Checkpoints
from castream_jax.config import Experiment, StageConfig
from castream_jax.data.pipeline import training_batches
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.sharding import check_batch_size, create_mesh, replicated, shard_batch
from castream_jax.training.accuracy import SplitAccuracy
from castream_jax.training.log import TrainingLog
from castream_jax.training.network import BACKBONE, STREAM, build_network, checkpoint_directory, evaluation_resize
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.state import TrainState, create_state, split_state
from castream_jax.training.step import create_train_step
from castream_jax.version import VERSION

LOG_EVERY = 20


def train(experiment: Experiment, workdir: Path) -> Classifier:
    """Train what the experiment asks for, or go on where an earlier run stopped, and return the network.

    Writes `checkpoints/<stage>/`, `metrics.jsonl` and `tensorboard/` under `workdir`.
    """
    mesh = create_mesh()
    source = open_source(experiment.data.name, experiment.data.train_split, experiment.data.directory)
    check_trainable(experiment, source, mesh)
    model = build_network(experiment, source.num_classes)
    workdir.mkdir(parents=True, exist_ok=True)
    if experiment.backbone.epochs:
        gap = train_stage(model.poolings()["gap"], experiment, BACKBONE, source, workdir, mesh)
        model.backbone, model.classifier = gap.backbone, gap.classifier
    if experiment.model.pooling == "ca":
        model = train_stage(model, experiment, STREAM, source, workdir, mesh)
    return model


def check_trainable(experiment: Experiment, source: Source, mesh: Mesh) -> None:
    """Raise `InputError` if there is nothing to train, nothing to train the stream on, or batches do not fit."""
    if not experiment.backbone.epochs and not experiment.weights:
        raise InputError(
            "config has neither weights nor backbone.epochs: set --config.weights to the weights of a "
            "pretrained network, or --config.backbone.epochs to train one from scratch."
        )
    if experiment.model.pooling == "gap" and not experiment.backbone.epochs:
        raise InputError("there is nothing to train: model.pooling is 'gap' and backbone.epochs is 0.")
    for stage in (BACKBONE, STREAM):
        settings: StageConfig = getattr(experiment, stage)
        if not settings.epochs:
            continue
        check_batch_size(f"{stage}.batch_size", settings.batch_size, mesh)
        if settings.batch_size > len(source):
            raise InputError(
                f"{stage}.batch_size is {settings.batch_size}: {source.name} has {len(source)} images only."
            )


def train_stage(
    model: Classifier, experiment: Experiment, stage: str, source: Source, workdir: Path, mesh: Mesh
) -> Classifier:
    """Train one stage of a network from its newest checkpoint, or from `model`, and return the trained network."""
    settings: StageConfig = getattr(experiment, stage)
    steps_per_epoch = len(source) // settings.batch_size
    total_steps = settings.epochs * steps_per_epoch
    optimizer = create_optimizer(settings, total_steps)
    graphdef, whole = nnx.split(model)
    params, statistics, frozen = split_state(whole, stage)
    state = create_state(params, statistics, optimizer)
    state, frozen = jax.device_put((state, frozen), replicated(mesh))
    train_step = create_train_step(graphdef, optimizer, stage, settings.label_smoothing, mesh)
    metadata = {"stage": stage, "config": experiment.to_dict(), "version": VERSION}

    with Checkpoints(checkpoint_directory(workdir, stage)) as checkpoints:
        restored = checkpoints.restore(as_trees(state, frozen), set_aside=True)
        if restored:
            state, frozen = from_trees(restored[1], stage)
        first_step = int(state.step)
        if first_step >= total_steps:
            return nnx.merge(graphdef, state.params, state.statistics, frozen)
        batches = training_batches(source, experiment.data, settings.batch_size, experiment.seed, first_step)
        data = experiment.data
        held_out = open_source(data.name, data.validation_split, data.directory)
        validation = SplitAccuracy(held_out, evaluation_resize(experiment), settings.batch_size, graphdef, mesh)
        with TrainingLog(workdir, stage, first_step, total_steps) as log:
            for step in range(first_step + 1, total_steps + 1):
                state, metrics = train_step(state, frozen, shard_batch(next(batches), mesh))
                if step % LOG_EVERY == 0 or step == total_steps:
                    log.write_step(step, jax.tree.map(float, metrics), settings.batch_size)
                if step % steps_per_epoch == 0:
                    log.write_validation(step, validation.measure(model_state(state, frozen)))
                    checkpoints.save(step, as_trees(state, frozen), metadata)
    return nnx.merge(graphdef, state.params, state.statistics, frozen)


def model_state(state: TrainState, frozen: nnx.State) -> nnx.State:
    """Return all arrays of the network, trained and frozen."""
    return nnx.merge_state(state.params, state.statistics, frozen)


def as_trees(state: TrainState, frozen: nnx.State) -> dict[str, Any]:
    """Return the trees that a checkpoint holds."""
    return {
        "model": model_state(state, frozen),
        "training": {"step": state.step, "opt_state": state.opt_state},
    }


def from_trees(trees: dict[str, Any], stage: str) -> tuple[TrainState, nnx.State]:
    """Return the state and the frozen arrays that a checkpoint holds."""
    params, statistics, frozen = split_state(trees["model"], stage)
    return TrainState(trees["training"]["step"], params, statistics, trees["training"]["opt_state"]), frozen
