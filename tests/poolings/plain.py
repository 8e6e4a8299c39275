"""What poolings are tested with, and against: random feature maps, and steps of attention in float64."""

import math

import jax.numpy as jnp
import numpy as np
import scipy.special
from flax import nnx

from castream_jax.models.layers.fresh import xavier_uniform
from castream_jax.poolings.pooling import Site

FloatArray = np.ndarray


def site(widths: tuple[int, ...], features: int = 0, seed: int = 0) -> Site:
    """Return a place for a pooling, of taps of these widths."""
    taps = tuple(f"tap{number}" for number in range(len(widths)))
    return Site(taps, widths, features or widths[-1], xavier_uniform, nnx.Rngs(params=seed))


def draw(*shape: int, seed: int = 0) -> jnp.ndarray:
    """Return normal numbers."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def shake(module: nnx.Module, scale: float = 0.5, seed: int = 3) -> None:
    """Move all parameters away from where they start: ones, zeros and small gains hide what is wrong."""
    rng = np.random.default_rng(seed)
    state = nnx.state(module, nnx.Param)
    for _, variable in nnx.to_flat_state(state):
        value = np.asarray(variable[...])
        variable[...] = jnp.asarray(value + scale * rng.standard_normal(value.shape), jnp.float32)
    nnx.update(module, state)


def numbers(variable: object) -> FloatArray:
    """Return a parameter in float64."""
    return np.asarray(variable[...], np.float64)  # type: ignore[index]


def apply_linear(layer: nnx.Linear, x: FloatArray) -> FloatArray:
    """Return `x W + b`."""
    return x @ numbers(layer.kernel) + numbers(layer.bias)


def normalise(layer: nnx.LayerNorm, x: FloatArray) -> FloatArray:
    """Return the layer normalisation over channels."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * numbers(layer.scale) + numbers(layer.bias)


def gelu(x: FloatArray) -> FloatArray:
    """Return the exact GELU."""
    return x * (1 + scipy.special.erf(x / math.sqrt(2))) / 2


def attend(query: FloatArray, keys: FloatArray, scale: float) -> FloatArray:
    """Return one query's softmax attention to keys [N C]."""
    return scipy.special.softmax(keys @ query / scale)
