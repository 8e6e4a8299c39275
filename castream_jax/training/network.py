"""The experiment's network: as training starts from it, and as training left it."""

from pathlib import Path

from flax import nnx

from castream_jax.config import Experiment
from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier, create_model
from castream_jax.training.checkpoint import Checkpoints
from castream_jax.weights.files import load_weights

BACKBONE, STREAM = "backbone", "stream"
"""The stages of training."""


def build_network(experiment: Experiment, num_classes: int) -> Classifier:
    """Return the network before training: fresh from its seed, with pretrained weights where the config names any."""
    config = experiment.model
    model = create_model(config.name, config.pooling, num_classes, config.heads, experiment.seed, config.dtype)
    return load_weights(model, config.weights) if config.weights else model


def checkpoint_directory(workdir: Path, stage: str) -> Path:
    """Return where a stage's checkpoints are."""
    return workdir / "checkpoints" / stage


def load_trained(experiment: Experiment, workdir: Path, num_classes: int) -> Classifier:
    """Return the network that training left in `workdir`; pretrained GAP networks need no training.

    Raises:
      InputError: there is no checkpoint (the message says how to make one), or it is of another network.
    """
    stage = STREAM if experiment.model.pooling == "ca" else BACKBONE
    directory = checkpoint_directory(workdir, stage)
    pretrained = stage == BACKBONE and bool(experiment.model.weights)
    if not (pretrained or directory.is_dir()):
        raise InputError(_advice(directory, experiment, workdir))
    model = build_network(experiment, num_classes)
    if pretrained:
        return model
    graphdef, state = nnx.split(model)
    with Checkpoints(directory) as checkpoints:
        restored = checkpoints.restore({"model": state})
    if restored is None:
        raise InputError(_advice(directory, experiment, workdir))
    return nnx.merge(graphdef, restored[1]["model"])


def _advice(directory: Path, experiment: Experiment, workdir: Path) -> str:
    return (
        f"there is no checkpoint in {directory}. Train one first: "
        f"python train.py --config configs/{experiment.name}.py --workdir {workdir}"
    )
