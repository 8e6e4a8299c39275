"""Fills a model from a torch state dict, strictly: every array once, every key used, every shape right."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.weights.names import IGNORED, torch_key


def load_torch_weights(model: Classifier, state_dict: Mapping[str, np.ndarray]) -> Classifier:
    """Return a copy of `model` with the weights of a torch state dict.

    Args:
      model: the network to fill; it is not changed.
      state_dict: arrays by torchvision's names or the reference's (its `module.` prefix is dropped). The
        state dict of a GAP network may fill a CA model: the stream then keeps its own weights.

    Raises:
      InputError: missing keys, keys that nothing uses, or wrong shapes: all of them are listed.

    Source: METHOD 1 for the correspondence.
    """
    source = {key.removeprefix("module."): np.asarray(value) for key, value in state_dict.items()}
    source = {key: value for key, value in source.items() if not IGNORED.search(key)}
    graphdef, state = nnx.split(model)
    flat = list(nnx.to_flat_state(state))
    keys = {path: torch_key(model.name, path) for path, _ in flat}
    stream = {path for path in keys if path[0] == "stream"}
    if not any(keys[path] in source for path in stream):
        keys = {path: key for path, key in keys.items() if path not in stream}
    _check_fit(model, source, {keys[path]: variable.shape for path, variable in flat if path in keys})
    filled = [
        (path, variable.replace(from_torch_layout(source[keys[path]], variable.shape)) if path in keys else variable)
        for path, variable in flat
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(filled))


def _check_fit(model: Classifier, source: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise one error that lists every missing, unused and wrongly shaped key."""
    expected = {key: torch_shape(key, shape) for key, shape in shapes.items()}
    problems = [f"missing: {key} {shape}" for key, shape in expected.items() if key not in source]
    problems += [f"unused: {key} {array.shape}" for key, array in source.items() if key not in expected]
    problems += [
        f"wrong shape: {key} is {source[key].shape}, expected {shape}"
        for key, shape in expected.items()
        if key in source and source[key].shape != shape
    ]
    if problems:
        raise InputError(
            f"these weights do not fit {model.name} with pooling {model.pooling!r} and {model.num_classes} classes "
            f"({len(problems)} problems):\n  " + "\n  ".join(problems)
        )


def torch_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that torch gives an array of this shape of ours: OIHW for HWIO, matrices transposed."""
    if key == "cls_token":
        return (1, 1, *shape)
    if key.endswith("layer_scale"):
        return (*shape, 1, 1)
    if len(shape) == 4:
        height, width, features_in, features_out = shape
        return (features_out, features_in, height, width)
    return shape[::-1]


def from_torch_layout(array: np.ndarray, shape: tuple[int, ...]) -> Array:
    """Return a torch array in our layout and float32, on the device; inverse of `torch_shape`'s change."""
    if len(shape) == 4:
        array = array.transpose(2, 3, 1, 0)
    elif len(shape) == 2:
        array = array.T
    return jnp.asarray(array.reshape(shape), jnp.float32)
