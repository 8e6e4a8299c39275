"""The experiment's network: as training starts from it, and as training left it."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from castream_jax.checkpoints import Checkpoints
from castream_jax.config import DataConfig, Experiment
from castream_jax.data.decoding import PictureCounts
from castream_jax.data.preprocess import Resize
from castream_jax.errors import InputError
from castream_jax.metrics.protocol import Protocol, get_protocol
from castream_jax.models.classifier import Classifier, create_model
from castream_jax.weights.files import load_weights
from castream_jax.weights.known import KNOWN, find_known

BACKBONE, STREAM = "backbone", "stream"
"""The stages of training."""


def build_network(experiment: Experiment, num_classes: int) -> Classifier:
    """Return the network before training: fresh from its seed, with pretrained weights where the config names any."""
    config = experiment.model
    model = create_model(config.name, config.pooling, num_classes, config.heads, experiment.seed, config.dtype)
    if not experiment.weights:
        return model
    return load_weights(model, experiment.weights, experiment.replace_classifier, experiment.classes)


def with_decoding(protocol: Protocol, data: DataConfig, met: PictureCounts | None = None) -> Protocol:
    """Return a protocol with the config's orientation and transparency.

    Args:
      protocol: a named one.
      data: says how pictures are decoded.
      met: the pictures that were measured. If none is oriented, or none transparent, the protocol's own choice stands,
        and so its hash: the numbers are the same bits. None: not known yet.
    """
    if met is None or met.oriented:
        protocol = dataclasses.replace(protocol, orientation=data.orientation)
    if met is None or met.transparent:
        protocol = dataclasses.replace(protocol, transparency=data.transparency)
    return protocol


def evaluation_protocol(experiment: Experiment, met: PictureCounts | None = None) -> Protocol:
    """Return the protocol that the experiment is evaluated under, `with_decoding`.

    Raises:
      InputError: no such protocol, or `preprocessing="weights"` with weights whose preprocessing is not known.
    """
    config = experiment.evaluation
    protocol = with_decoding(get_protocol(config.protocol), experiment.data, met)
    if config.preprocessing == "protocol":
        return protocol
    known = find_known(experiment.weights, experiment.model.name)
    if known is None:
        published = [name for name in KNOWN if name.startswith(experiment.model.name + ".")]
        advice = f"expected one of {', '.join(published)}." if published else "set preprocessing='protocol'."
        raise InputError(
            f"evaluation.preprocessing is 'weights', but weights={experiment.weights!r} is no published checkpoint: "
            f"{advice}"
        )
    return dataclasses.replace(
        protocol,
        name=f"{protocol.name}-{known.name}",
        resize="crop",
        interpolation=known.interpolation,
        shorter_side=known.shorter_side,
    )


def evaluation_resize(experiment: Experiment) -> Resize:
    """Return how images come to the network in validation and evaluation."""
    protocol = evaluation_protocol(experiment)
    return Resize(experiment.data.image_size, protocol.resize, protocol.interpolation, protocol.shorter_side)


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
    pretrained = stage == BACKBONE and bool(experiment.weights)
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
    return nnx.merge(graphdef, jax.tree.map(jnp.asarray, restored[1]["model"]))


def count_classes(experiment: Experiment, workdir: Path) -> int | None:
    """Return how many classes the network has that training left in `workdir`; None if there is no such network."""
    directory = checkpoint_directory(workdir, STREAM if experiment.model.pooling == "ca" else BACKBONE)
    if not directory.is_dir():
        return None
    with Checkpoints(directory) as checkpoints:
        arrays = checkpoints.describe("model") or {}
    return next((array.shape[-1] for path, array in arrays.items() if path.endswith("classifier.linear.bias")), None)


def _advice(directory: Path, experiment: Experiment, workdir: Path) -> str:
    return (
        f"there is no checkpoint in {directory}. Train one first: "
        f"python train.py --config configs/{experiment.name}.py --workdir {workdir}"
    )
