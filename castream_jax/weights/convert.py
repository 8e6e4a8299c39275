"""Fills a model from a state dict and gives one back, strictly: every array once, every key used, every shape right."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx

from castream_jax.errors import InputError, NotTrained
from castream_jax.models.classifier import Classifier
from castream_jax.models.network import Network
from castream_jax.weights.bounds import short
from castream_jax.weights.likeness import describe_likeness
from castream_jax.weights.matching import LINEAR, find_outside, match
from castream_jax.weights.names import default_scheme, find_scheme
from castream_jax.weights.scheme import IGNORED, TRUNK, Scheme
from castream_jax.weights.wrappers import list_names

LOG = logging.getLogger(__name__)
FLOATS = ("float32", "float16", "bfloat16", "float64")
"""What weights may be: whole numbers and smaller floats are quantised, and mean nothing without their scales."""
FINITE = float(np.finfo(np.float32).max)
LISTED = 1000
"""How many problems a message lists: each array of ResNet-152 may be one."""

FreshStream = Literal["warned", "meant", "refused"]


def load_torch_weights(
    model: Classifier,
    state_dict: Mapping[str, np.ndarray],
    replace_classifier: bool = False,
    classes: Sequence[int] = (),
    fresh_stream: FreshStream = "warned",
) -> Classifier:
    """Return a copy of `model` with the weights of a state dict.

    Args:
      model: the network to fill; it is not changed.
      state_dict: arrays in the names of torchvision, timm, facebookresearch, transformers, the reference or
        ourselves, below any prefix; the naming is recognised. The state dict of a GAP network may fill a CA model:
        the stream then keeps its own weights, which is said.
      replace_classifier: keep the model's own classifier, whatever the state dict holds for it: for another set
        of classes.
      classes: keep only these of the state dict's classes, in this order: for a set whose classes are some of
        ImageNet's. Empty: all.
      fresh_stream: what a stream is that the weights are without, which keeps its own: `"warned"` of, `"meant"`, for it
        is to be trained, or `"refused"`.

    Raises:
      NotTrained: a fresh stream, where it is refused.
      InputError: classes that are not there; missing keys, keys that nothing uses, wrong shapes or dtypes: all are
        listed.

    Source: METHOD 1 for the correspondence.
    """
    source = {key.replace("_orig_mod.", ""): np.asarray(value) for key, value in state_dict.items()}
    if len(source) < len(state_dict):
        raise InputError(
            "these weights hold an array twice, with _orig_mod. in its name and without: save one of them."
        )
    source = {key: value for key, value in source.items() if not IGNORED.search(key)}
    graphdef, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    given = {key: value.shape for key, value in source.items()}
    try:
        found = match(given, model.name, {path: variable.shape for path, variable in flat.items()})
    except InputError as error:
        raise InputError(describe_likeness(given, model.name) + str(error)) from error
    scheme, keys, notes = found.scheme, found.keys, []
    fresh = list(dict.fromkeys(str(path[0]) for path in flat if path[0] not in TRUNK))
    fresh = [part for part in fresh if not any(key in source for path, key in keys.items() if path[0] == part)]
    if fresh:
        keys = {path: key for path, key in keys.items() if path[0] not in fresh}
    as_created = {choice.part for choice in model.choices if not choice.trains}
    if fresh := [part for part in fresh if part not in as_created]:
        if fresh == ["stream"]:
            begin, verbs = f"the weights are of a GAP network: the stream of {model.name}", ("keeps its", "is")
        else:
            begin, verbs = f"the weights are without {', '.join(fresh)} of {model.name}: these", ("keep their", "are")
        notes.append(f"{begin} {verbs[0]} fresh weights")
        if fresh_stream == "refused":
            raise NotTrained(f"{begin} {verbs[1]} not trained.")
        LOG.log(logging.INFO if fresh_stream == "meant" else logging.WARNING, notes[0])
    if outside := find_outside(source, found, replace_classifier):
        LOG.info("left out, as it is outside %r: %s", found.prefix, list_names(sorted(outside)))
        source = {key: value for key, value in source.items() if key not in outside}
    own = {path: key for path, key in keys.items() if path[:2] == LINEAR}
    if replace_classifier:
        keys = {path: key for path, key in keys.items() if path not in own}
        modules = tuple(key.rpartition(".")[0] + "." for key in own.values())
        source = {key: value for key, value in source.items() if not key.startswith(modules)}
        LOG.info("the classifier of %s keeps its fresh weights", model.name)
    shapes = {path: scheme.shape(scheme.key(path) or "", flat[path].shape) for path in keys}
    if classes:
        taken = {key: (source[key], shapes[path]) for path, key in own.items() if path in shapes and key in source}
        source |= {key: take_classes(array, key, scheme, classes, shape) for key, (array, shape) in taken.items()}
    _check_fit(model, source, {key: shapes[path] for path, key in keys.items()})
    filled = [
        (path, variable.replace(to_ours(source[keys[path]], scheme, variable.shape)) if path in keys else variable)
        for path, variable in flat.items()
    ]
    loaded = nnx.merge(graphdef, nnx.from_flat_state(filled))
    loaded.notes = tuple(notes)
    return loaded


def take_classes(
    array: np.ndarray, key: str, scheme: Scheme, classes: Sequence[int], expected: tuple[int, ...]
) -> np.ndarray:
    """Return a classifier's weight or bias for some of its classes; `InputError` for a class that it has not.

    An array that does not fit apart from its classes is returned as it is.
    """
    axis = len(expected) - 1 if scheme.name == "castream_jax" else 0
    if array.ndim != len(expected) or np.delete(array.shape, axis).tolist() != np.delete(expected, axis).tolist():
        return array
    count = array.shape[axis]
    wrong = [index for index in classes if not 0 <= index < count]
    if wrong:
        raise InputError(f"classes {wrong} are not in these weights: {key} has classes 0 to {count - 1}.")
    return np.take(array, classes, axis)


def export_weights(model: Network, scheme_name: str | None = None) -> dict[str, np.ndarray]:
    """Return a model's weights as a state dict, float32, in a scheme's names and layout.

    `load_torch_weights` gives the same bits back.

    Args:
      model: the network.
      scheme_name: None: "torchvision", in which a CA model's stream has the reference's names, or for a backbone of
        one's own "castream_jax", the paths of its arrays.

    Raises:
      InputError: no such scheme for the model's family, or it has no names for a stream, and the model has one; or
        for layers that a spec of one's own asks for.
    """
    scheme = find_scheme(scheme_name or default_scheme(model.name), model.name)
    exported: dict[str, np.ndarray] = {}
    arrays = nnx.to_flat_state(nnx.state(model))
    if not scheme.has_names(path for path, _ in arrays):
        raise InputError(f"{scheme.name}'s naming has no names for all layers of this {model.name}: export it in ours.")
    for path, variable in arrays:
        key = scheme.key(path)
        if key is None:
            raise InputError(
                f"{scheme.name}'s naming has no {path[0]}: export the GAP network, or in our names (castream_jax)."
            )
        exported[key] = from_ours(np.asarray(variable[...]), scheme, key)
    return exported


def _check_fit(model: Classifier, source: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise one error that lists every missing, unused and wrongly shaped key, and those that are no floats."""
    problems = [f"missing: {short(key)} {shape}" for key, shape in expected.items() if key not in source]
    problems += [f"unused: {short(key)} {array.shape}" for key, array in source.items() if key not in expected]
    fitting = {key: source[key] for key in expected if key in source}
    problems += [
        f"wrong shape: {short(key)} is {array.shape}, expected {expected[key]}{_explain(array.shape, expected[key])}"
        for key, array in fitting.items()
        if array.shape != expected[key]
    ]
    problems += [
        f"wrong dtype: {short(key)} is {array.dtype}, expected one of {', '.join(FLOATS)}"
        for key, array in fitting.items()
        if array.dtype.name not in FLOATS
    ]
    problems += [
        f"too large for float32: {short(key)} reaches {np.nanmax(np.abs(array)):.3g}"
        for key, array in fitting.items()
        if array.dtype.name == "float64" and (np.isfinite(array) & (np.abs(array) > FINITE)).any()
    ]
    if problems:
        rest = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        likeness = describe_likeness({key: array.shape for key, array in source.items()}, model.name)
        raise InputError(
            f"{likeness}these weights do not fit {model.name} with pooling {model.pooling!r} and "
            f"{model.num_classes} classes ({len(problems)} problems):\n  " + "\n  ".join([*problems[:LISTED], *rest])
        )


def _explain(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Return what a wrong shape is known to mean: the first convolution of a network for grey or RGBA images."""
    if len(found) == len(expected) == 4 and expected[1] == 3 and found[1] != 3 and found[0] == expected[0]:
        return f": they are of a network for images of {found[1]} channels instead of 3"
    return ""


def to_ours(array: np.ndarray, scheme: Scheme, shape: tuple[int, ...]) -> Any:
    """Return a scheme's array in our layout, float32, on the device."""
    if scheme.name != "castream_jax":
        if len(shape) == 4:
            array = array.transpose(2, 3, 1, 0)
        elif len(shape) == 2:
            array = array.T
    with np.errstate(over="ignore"):
        return jnp.array(array.reshape(shape), jnp.float32)  # a copy: the file's bytes may change


def from_ours(array: np.ndarray, scheme: Scheme, key: str) -> np.ndarray:
    """Return an array of ours in a scheme's layout; the inverse of `to_ours`."""
    shape = scheme.shape(key, array.shape)
    if scheme.name != "castream_jax":
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            array = array.T
    return np.array(array.reshape(shape), order="C")  # a copy, which the caller may write to
