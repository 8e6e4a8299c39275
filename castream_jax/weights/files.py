"""Weights from where they are: a file, a folder, a checkpoint of ours, an address, or a known name."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.models.description import recall_network
from castream_jax.weights.convert import FreshStream, load_torch_weights
from castream_jax.weights.formats import read_file
from castream_jax.weights.hub import locate
from castream_jax.weights.known import KNOWN, find_known
from castream_jax.weights.packages import PACKAGE, install_again
from castream_jax.weights.shards import find_in_folder
from castream_jax.weights.wrappers import AVERAGES, StateDict

LOG = logging.getLogger(__name__)


def load_weights(
    model: Classifier,
    source: str | os.PathLike[str],
    replace_classifier: bool = False,
    classes: Sequence[int] = (),
    average: bool = False,
    fresh_stream: FreshStream = "warned",
) -> Classifier:
    """Return a copy of `model` with pretrained weights; its `notes` say what is to be known of them.

    Args:
      model: the network to fill; it is not changed.
      source: a `.safetensors` or `.pth` file, or the index of its shards; a folder that holds one, or checkpoints of
        ours; a known name (`weights.known.KNOWN`, such as "resnet50.tv_in1k"), which also sets the model's
        normalisation; `hf://owner/repo` or `hf://owner/repo/file`, through huggingface_hub with its cache and its
        offline mode.
      replace_classifier: keep the model's own classifier: for another set of classes.
      classes: keep only these of the weights' classes, in this order; empty: all.
      average: take the moving average of the weights where a file holds one beside them.
      fresh_stream: what a stream is that the weights are without, which keeps its own: `"warned"` of, `"meant"`, for it
        is to be trained, or `"refused"`.

    Raises:
      NotTrained: a fresh stream, where it is refused.
      InputError: there is nothing there, it cannot be read or is not safe to read, or it does not fit; it holds no
        moving average.
    """
    source = os.fspath(source)
    known = find_known(source, model.name)
    if known is None:
        check_address(source, model.name)
        found = read_weights(source, average)
    elif known.architecture != model.name:
        raise InputError(f"weights {known.name!r} are of {known.architecture}: the model is {model.name}.")
    else:
        path = locate(known.source)
        check_digest(path, known.sha256, find_advice(known.source))
        found = read_file(path, average)
    if average and not found.is_average:
        raise InputError(
            f"{source!r} holds no moving average of its weights (expected one under {', '.join(AVERAGES)}): leave "
            "average out."
        )
    loaded = load_torch_weights(model, found.arrays, replace_classifier, classes, fresh_stream)
    if found.is_average:
        loaded.notes += ("the weights are a moving average over training",)
    if known is not None:
        loaded.normalisation, loaded.preprocessing = known.normalisation, known.preprocessing
        loaded.class_names = known.class_names
    elif found.metadata is not None:
        recall_network(loaded, found.metadata)
    if replace_classifier:
        loaded.score = model.score  # that of the fresh classifier
    loaded.class_names = () if replace_classifier else _take(loaded.class_names, classes)
    if len(loaded.class_names) not in (0, loaded.num_classes):
        raise InputError(
            f"{source!r} names {len(loaded.class_names)} classes, its network has {loaded.num_classes}: export again."
        )
    return loaded


def _take(class_names: tuple[str, ...], labels: Sequence[int]) -> tuple[str, ...]:
    """Return the names of these classes; all of them where no labels are given."""
    if not labels:
        return class_names
    return tuple(class_names[label] for label in labels if label < len(class_names))


def read_weights(source: str, average: bool = False) -> StateDict:
    """Return the arrays of a file, a folder, an address or a checkpoint of ours, by name."""
    path = locate(source)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):  # a name that is too long: reading says so
        is_folder = False
    if not is_folder:
        return read_file(path, average)
    if (inside := find_in_folder(path)) is None or (path / "checkpoints").is_dir():
        from castream_jax.storage.checkpoints import read_model  # here, as Orbax takes a second to import

        arrays, metadata = read_model(path)
        return StateDict(arrays, metadata=metadata)
    LOG.info("%s: taking %s", path, inside.name)
    return read_file(inside, average)


def check_address(source: str, architecture: str) -> None:
    """Raise `InputError` for the address of a published checkpoint whose arrays would fit, but in another network."""
    known = next((known for known in KNOWN.values() if known.source == source), None)
    if known is not None and known.architecture != architecture:
        raise InputError(f"weights {source!r} are of {known.architecture}: the model is {architecture}.")


def check_digest(path: Path, expected: str, advice: str) -> None:
    """Raise `InputError`, with advice, if a file's sha256 does not begin with the digits that are published."""
    if not expected:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise InputError(f"{path} has sha256 {found}: expected {expected}… {advice}")


def find_advice(source: str) -> str:
    """Return how a file that is damaged is had anew."""
    if source.startswith(PACKAGE):
        return f"Install it again: {install_again(source.removeprefix(PACKAGE).split('/')[0])}."
    return "Delete it and download it again."
