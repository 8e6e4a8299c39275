"""Fills a model from a state dict and gives one back, strictly: every array once, every key used, every shape right."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.weights.names import IGNORED, Scheme, find_scheme, recognise

LOG = logging.getLogger(__name__)


def load_torch_weights(
    model: Classifier,
    state_dict: Mapping[str, np.ndarray],
    replace_classifier: bool = False,
    classes: Sequence[int] = (),
) -> Classifier:
    """Return a copy of `model` with the weights of a state dict.

    Args:
      model: the network to fill; it is not changed.
      state_dict: arrays in the names of torchvision, timm, facebookresearch, the reference (whose `module.`
        prefix is dropped) or ourselves; the naming is recognised. The state dict of a GAP network may fill a CA
        model: the stream then keeps its own weights, which is logged.
      replace_classifier: keep the model's own classifier, whatever the state dict holds for it: for another set
        of classes.
      classes: keep only these of the state dict's classes, in this order: for a set whose classes are some of
        ImageNet's. Empty: all.

    Raises:
      InputError: classes that are not there; missing keys, keys that nothing uses, wrong shapes: all are listed.

    Source: METHOD 1 for the correspondence.
    """
    source = {key.removeprefix("module."): np.asarray(value) for key, value in state_dict.items()}
    source = {key: value for key, value in source.items() if not IGNORED.search(key)}
    graphdef, state = nnx.split(model)
    flat = list(nnx.to_flat_state(state))
    scheme = recognise(source, model.name, [path for path, _ in flat])
    keys = {path: key for path, _ in flat if (key := scheme.key(path)) is not None}
    if model.stream is not None and not any(keys.get(path) in source for path in keys if path[0] == "stream"):
        keys = {path: key for path, key in keys.items() if path[0] != "stream"}
        LOG.info("the weights are of a GAP network: the stream of %s keeps its fresh weights", model.name)
    own = {key for path, key in keys.items() if path[:2] == ("classifier", "linear")}
    if classes:
        source |= {key: take_classes(source[key], key, scheme, classes) for key in own & set(source)}
    if replace_classifier:
        keys = {path: key for path, key in keys.items() if key not in own}
        source = {key: value for key, value in source.items() if key not in own}
        LOG.info("the classifier of %s keeps its fresh weights", model.name)
    shapes = {keys[path]: scheme.shape(keys[path], variable.shape) for path, variable in flat if path in keys}
    _check_fit(model, source, shapes)
    filled = [
        (path, variable.replace(to_ours(source[keys[path]], scheme, variable.shape)) if path in keys else variable)
        for path, variable in flat
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(filled))


def take_classes(array: np.ndarray, key: str, scheme: Scheme, classes: Sequence[int]) -> np.ndarray:
    """Return a classifier's weight or bias for some of its classes; `InputError` for a class that it has not."""
    axis = array.ndim - 1 if scheme.name == "castream_jax" else 0
    count = array.shape[axis] if array.ndim else 0
    wrong = [index for index in classes if not 0 <= index < count]
    if wrong:
        raise InputError(f"classes {wrong} are not in these weights: {key} has classes 0 to {count - 1}.")
    return np.take(array, classes, axis)


def export_weights(model: Classifier, scheme_name: str = "torchvision") -> dict[str, np.ndarray]:
    """Return a model's weights as a state dict, float32, in a scheme's names and layout.

    In "torchvision", a CA model's stream has the reference's names. `load_torch_weights` gives the same bits back.

    Raises:
      InputError: no such scheme for the model's family, or it has no names for a stream, and the model has one.
    """
    scheme = find_scheme(scheme_name, model.name)
    exported: dict[str, np.ndarray] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        key = scheme.key(path)
        if key is None:
            raise InputError(
                f"{scheme.name}'s naming has no stream: export the GAP network, or in torchvision's names."
            )
        exported[key] = from_ours(np.asarray(variable[...]), scheme, key)
    return exported


def _check_fit(model: Classifier, source: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise one error that lists every missing, unused and wrongly shaped key."""
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


def to_ours(array: np.ndarray, scheme: Scheme, shape: tuple[int, ...]) -> Any:
    """Return a scheme's array in our layout, float32, on the device."""
    if scheme.name != "castream_jax":
        if len(shape) == 4:
            array = array.transpose(2, 3, 1, 0)
        elif len(shape) == 2:
            array = array.T
    return jnp.asarray(array.reshape(shape), jnp.float32)


def from_ours(array: np.ndarray, scheme: Scheme, key: str) -> np.ndarray:
    """Return an array of ours in a scheme's layout; the inverse of `to_ours`."""
    shape = scheme.shape(key, array.shape)
    if scheme.name != "castream_jax":
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            array = array.T
    return np.array(array.reshape(shape), order="C")  # a copy, which the caller may write to
