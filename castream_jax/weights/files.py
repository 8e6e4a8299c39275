"""Weights from where they are: a file, a checkpoint of ours, the Hugging Face hub, torch's cache, or a known name."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.errors
import numpy as np
import safetensors
import safetensors.numpy

from castream_jax.checkpoints import read_model
from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.weights.convert import load_torch_weights
from castream_jax.weights.known import find_known
from castream_jax.weights.pickled import read_pickled

LOG = logging.getLogger(__name__)
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
WRAPPERS = ("model_sdict", "state_dict", "model")
"""Under which training scripts keep the state dict: the reference, many, facebookresearch."""


def load_weights(
    model: Classifier,
    source: str | os.PathLike[str],
    replace_classifier: bool = False,
    classes: Sequence[int] = (),
) -> Classifier:
    """Return a copy of `model` with pretrained weights.

    Args:
      model: the network to fill; it is not changed.
      source: a known name (`weights.known.KNOWN`, such as "resnet50.tv_in1k"), which also sets the model's
        normalisation; a `.safetensors` or `.pth` file; `hf://owner/repo` or `hf://owner/repo/file`, through
        huggingface_hub with its cache and its offline mode; or a directory with checkpoints of ours.
      replace_classifier: keep the model's own classifier: for another set of classes.
      classes: keep only these of the weights' classes, in this order; empty: all.

    Raises:
      InputError: there is nothing there, it cannot be read or is not safe to read, or it does not fit.
    """
    source = os.fspath(source)
    known = find_known(source, model.name)
    if known is None:
        return load_torch_weights(model, read_weights(source), replace_classifier, classes)
    if known.architecture != model.name:
        raise InputError(f"weights {known.name!r} are of {known.architecture}: the model is {model.name}.")
    path = locate(known.source)
    check_digest(path, known.sha256)
    loaded = load_torch_weights(model, read_file(path), replace_classifier, classes)
    loaded.normalisation = known.normalisation
    return loaded


def read_weights(source: str) -> Mapping[str, np.ndarray]:
    """Return the arrays of a file, an address or a checkpoint of ours, by name."""
    if not source.startswith(("hf://", "torchhub://")) and Path(source).is_dir():
        return read_model(Path(source))[0]
    return read_file(locate(source))


def locate(source: str) -> Path:
    """Return the file that a path or an address stands for, downloading it where it must be."""
    if source.startswith("hf://"):
        return download(source)
    if source.startswith("torchhub://"):
        name = source.removeprefix("torchhub://")
        home = os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch")
        path = Path(home) / "hub" / "checkpoints" / name
        if not path.is_file():
            architecture = name.split("-")[0]
            raise InputError(
                f"{path} is not there. torchvision puts it there: python -c "
                f"\"import torchvision; torchvision.models.{architecture}(weights='IMAGENET1K_V1')\""
            )
        return path
    return Path(source)


def download(address: str) -> Path:
    """Return the local copy of `hf://owner/repo[/file]`."""
    owner, _, rest = address.removeprefix("hf://").partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository):
        raise InputError(f"{address!r}: expected hf://owner/repo or hf://owner/repo/file.")
    problem: Exception | None = None
    for name in (file,) if file else HUB_FILES:
        try:
            return Path(huggingface_hub.hf_hub_download(f"{owner}/{repository}", name))
        except huggingface_hub.errors.LocalEntryNotFoundError as error:  # offline, or no connection
            raise InputError(
                f"{address} is not in the local cache, and the hub cannot be reached: connect once, or give a file."
            ) from error
        except huggingface_hub.errors.RepositoryNotFoundError as error:
            raise InputError(f"{address}: there is no such repository on the hub, or it is private.") from error
        except (huggingface_hub.errors.EntryNotFoundError, huggingface_hub.errors.HFValidationError) as error:
            problem = error
        except OSError as error:  # what the connection raises
            raise InputError(f"{address} cannot be downloaded ({error}): connect, or give a file.") from error
    raise InputError(f"{address} holds no {file or ' or '.join(HUB_FILES)}: name its file.") from problem


def check_digest(path: Path, expected: str) -> None:
    """Raise `InputError` if a file's sha256 does not begin with the digits that are published."""
    if not expected:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise InputError(f"{path} has sha256 {found}: expected {expected}… Delete it and download it again.")


def read_file(path: Path) -> Mapping[str, np.ndarray]:
    """Return the state dict of a `.safetensors` or zip `.pth` file, out of what it is wrapped in."""
    if not path.is_file():
        raise InputError(f"there is no weight file {str(path)!r}.")
    if path.suffix != ".safetensors":
        return unwrap(read_pickled(path), path)
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{str(path)!r} is no whole .safetensors file ({error}): convert or download it again."
        ) from error


def unwrap(content: Mapping[str, Any], path: Path) -> Mapping[str, np.ndarray]:
    """Return the state dict in what a training script saved."""
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            LOG.info("%s: taking %r out of %s", path, wrapper, ", ".join(content))
            content = content[wrapper]
    others = [key for key, value in content.items() if not isinstance(value, np.ndarray)]
    if others or not content:
        raise InputError(
            f"{str(path)!r} is no state dict: {', '.join(map(str, others[:5])) or 'nothing'} in it is no array. "
            f"Expected arrays by name, or such a dictionary under {', '.join(WRAPPERS)}."
        )
    return content
