"""Reads weights as users do, and checks what came of it."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.fuzz import weight_files as files
from benchmarks.fuzz.case import Case, Expected
from castream_jax.weights.files import read_weights
from castream_jax.weights.wrappers import StateDict


@functools.cache
def empty_network() -> ca.Classifier:
    """Return the smallest network there is, of zeros: nothing is compiled for it."""
    abstract = nnx.eval_shape(lambda: ca.create_model("resnet18_small", pooling="gap", num_classes=4))
    graphdef, state = nnx.split(abstract)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state))


@functools.cache
def whole_state() -> files.Arrays:
    """Return weights that fit it, all of them different."""
    rng = np.random.default_rng(1)
    shapes = {name: array.shape for name, array in ca.export_weights(empty_network()).items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def has_loaded(expected: files.Arrays) -> Callable[[ca.Classifier], str]:
    """Return the check that a network has these weights."""
    return lambda network: files.same_arrays(ca.export_weights(network), expected)


def are_arrays(found: Any) -> str:
    """Return why something is no state dict; any numbers will do."""
    arrays = found.arrays if isinstance(found, StateDict) else found
    if not isinstance(arrays, Mapping):
        return f"a {type(arrays).__name__}"
    kinds = {name: getattr(array, "dtype", np.dtype(object)).kind for name, array in arrays.items()}
    strange = [name for name, kind in kinds.items() if kind not in "biufcV"]
    return f"no arrays: {strange[:5]}" if strange else ""


def read_case(source: Path | str, expected: Expected = "either", arrays: files.Arrays | None = None) -> Case:
    """Return the case that reads arrays by name; where they are known, those."""
    check = are_arrays if arrays is None else lambda found: files.same_arrays(found.arrays, arrays)
    return Case(lambda: read_weights(str(source)), check, expected)


def load_case(source: Path | str, expected: Expected, weights: files.Arrays | None = None) -> Case:
    """Return the case that fills the network."""
    check = has_loaded(whole_state() if weights is None else weights)
    return Case(lambda: ca.load_weights(empty_network(), source), check, expected)
