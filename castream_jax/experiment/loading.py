"""The experiment's network: as training starts from it, and as training left it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from castream_jax.config import Experiment
from castream_jax.errors import InputError, NotTrained
from castream_jax.experiment.own_network import create_own_network
from castream_jax.experiment.preprocessing import settle_preprocessing
from castream_jax.importing import is_address
from castream_jax.models.classifier import Classifier, create_model
from castream_jax.models.description import recall_network
from castream_jax.models.network import Network
from castream_jax.models.scores import Score
from castream_jax.poolings.choosing import choose_poolings, is_trained
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.weights.convert import FreshStream
from castream_jax.weights.files import load_weights
from castream_jax.weights.known import find_known

BACKBONE, STREAM = "backbone", "stream"
"""The stages of training."""
FEW_STEPS = 100
"""Fewer are said beside what the network is worth: the demo's stages take hundreds."""


def build_network(experiment: Experiment, num_classes: int) -> Network:
    """Return the network before training: fresh from its seed, with pretrained weights where the config names any."""
    model = load_start(experiment, num_classes)
    settle_preprocessing(model, experiment)
    return model


def load_start(experiment: Experiment, num_classes: int, fresh_stream: FreshStream = "meant") -> Network:
    """Return the same, as its weights say how it was trained; `fresh_stream` is what `load_weights` takes."""
    model = create_network(experiment, num_classes)
    if not experiment.weights or not isinstance(model, Classifier):
        return model
    choices = experiment.replace_classifier, experiment.classes, experiment.weights_average
    loaded = load_weights(model, experiment.weights, *choices, fresh_stream)
    _check_score(loaded, model.score, experiment.weights)
    return loaded


def create_network(experiment: Experiment, num_classes: int) -> Network:
    """Return one of our architectures with fresh weights from the experiment's seed, or a network of the user's own."""
    config = experiment.model
    if is_address(config.name):
        return create_own_network(experiment, num_classes)
    return create_model(
        config.name,
        config.pooling,
        num_classes,
        config.heads,
        experiment.seed,
        config.dtype,
        score=config.score,
        stream_init=config.stream_init,
    )


def _check_score(model: Classifier, expected: Score, place: str | Path) -> None:
    """Raise `InputError` if weights say that they were trained for another score than is asked for."""
    if model.score != expected:
        raise InputError(
            f"config.model.score is {expected!r}, and the network of {place} was trained for {model.score!r}: set "
            f"--config.model.score={model.score}."
        )


def checkpoint_directory(workdir: Path, stage: str) -> Path:
    """Return where a stage's checkpoints are."""
    return workdir / "checkpoints" / stage


def has_checkpoint(workdir: Path) -> bool:
    """Return whether training has saved anything in a work directory."""
    for directory in filter(Path.is_dir, (checkpoint_directory(workdir, stage) for stage in (BACKBONE, STREAM))):
        with Checkpoints(directory) as checkpoints:
            if checkpoints.steps():
                return True
    return False


def last_stage(experiment: Experiment) -> str:
    """Return the stage that ends a training: that of the poolings, where any of them has something to train."""
    return STREAM if is_trained(choose_poolings(experiment.model.pooling)) else BACKBONE


def load_trained(experiment: Experiment, workdir: Path, num_classes: int) -> Network:
    """Return the network that training left in `workdir`.

    Networks that need no training are as they come: pretrained GAP networks, weights that hold a stream too, and
    networks of the user's own that are no `Classifier`.

    Raises:
      InputError: there is no checkpoint, or it is of another network.
    """
    stage = last_stage(experiment)
    directory = checkpoint_directory(workdir, stage)
    if stage == BACKBONE and _comes_trained(experiment):
        return build_network(experiment, num_classes)
    if stage == STREAM and not directory.is_dir() and _may_hold_stream(experiment):
        try:
            whole = load_start(experiment, num_classes, fresh_stream="refused")
        except NotTrained as error:
            raise NotTrained(f"there is no checkpoint in {directory}, and {error} Train it first.") from error
        settle_preprocessing(whole, experiment)
        return whole
    model = create_network(experiment, num_classes) if is_address(experiment.model.name) or directory.is_dir() else None
    if model is not None and not isinstance(model, Classifier):
        settle_preprocessing(model, experiment)
        return model
    if model is None or not directory.is_dir():
        raise NotTrained(f"there is no checkpoint in {directory}: train a network first.")
    model = _restore(model, directory)
    settle_preprocessing(model, experiment)
    return model


def _comes_trained(experiment: Experiment) -> bool:
    """Return whether the GAP network has its weights before any training."""
    if experiment.replace_classifier or experiment.backbone.epochs:
        return False
    return bool(experiment.weights) or is_address(experiment.model.name)


def _may_hold_stream(experiment: Experiment) -> bool:
    """Return whether the config's weights may be a whole network: what is published by name is of GAP networks."""
    if not experiment.weights or experiment.replace_classifier or is_address(experiment.model.name):
        return False
    return find_known(experiment.weights, experiment.model.name) is None


def _restore(fresh: Classifier, directory: Path) -> Classifier:
    """Return the network of the newest checkpoint in a stage's directory.

    Stage `backbone` keeps global average pooling's network; poolings beside it are as they are created.
    """
    asked, score = (fresh.poolings()["gap"] if directory.name == BACKBONE else fresh), fresh.score
    graphdef, state = nnx.split(asked)
    with Checkpoints(directory) as checkpoints:
        restored = checkpoints.restore({"model": state})
    if restored is None:
        raise NotTrained(f"there is no checkpoint in {directory}: train a network first.")
    model: Classifier = nnx.merge(graphdef, jax.tree.map(jnp.asarray, restored[1]["model"]))
    if asked is not fresh:
        fresh.backbone, fresh.classifier = model.backbone, model.classifier
        model = fresh
    recall_network(model, restored[2])
    _check_score(model, score, directory)
    model.notes += tuple(note_training(directory.name, restored[0], restored[2]))
    return model


def note_training(stage: str, step: int, saved: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to be known of a trained network: that its training is unfinished, was short, or was averaged.

    Args:
      stage: of the training.
      step: that its newest checkpoint is of.
      saved: what the checkpoint says of itself.
    """
    settings, data = saved.get("config", {}).get(stage, {}), saved.get("dataset", {})
    if decay := settings.get("ema"):
        yield f"the weights are a moving average over training ({stage}.ema={decay:g})"
    if settings and data:
        steps = settings["epochs"] * (data["images"] // settings["batch_size"])
        if step < steps:
            yield f"training is unfinished: it had taken {step:,} of the {steps:,} steps of stage {stage}"
        elif step < FEW_STEPS:
            yield f"stage {stage} is trained by {step:,} steps: fewer than {FEW_STEPS} teach a network little"


def read_class_names(experiment: Experiment, workdir: Path) -> tuple[str, ...]:
    """Return the names of the classes that the network in `workdir` was trained on; empty if it does not say."""
    directory = checkpoint_directory(workdir, last_stage(experiment))
    if not directory.is_dir():
        return ()
    with Checkpoints(directory) as checkpoints:
        return tuple(checkpoints.read_metadata().get("network", {}).get("class_names", ()))


def count_classes(experiment: Experiment, workdir: Path) -> int | None:
    """Return how many classes the network has that training left in `workdir`; None if there is no such network."""
    directory = checkpoint_directory(workdir, last_stage(experiment))
    if not directory.is_dir():
        return None
    with Checkpoints(directory) as checkpoints:
        arrays = checkpoints.describe("model") or {}
    return next((array.shape[-1] for path, array in arrays.items() if path.endswith("classifier.linear.bias")), None)
