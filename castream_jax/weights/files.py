"""Reads weight files."""

from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.weights.convert import load_torch_weights


def load_weights(model: Classifier, path: str) -> Classifier:
    """Return a copy of `model` with the weights of a `.safetensors` file in torchvision's or the reference's names.

    Raises:
      InputError: no such file, no safetensors file, or weights that do not fit.
    """
    return load_torch_weights(model, read_safetensors(Path(path)))


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `.safetensors` file by name."""
    if not path.is_file():
        raise InputError(f"there is no weight file {str(path)!r}.")
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{str(path)!r} is no whole .safetensors file ({error}): convert or download it again."
        ) from error
