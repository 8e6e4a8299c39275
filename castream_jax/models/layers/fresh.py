"""Fresh weights, drawn by numpy: JAX compiles a program for each shape that it draws, which takes a network 15 seconds.

An initializer takes a key and a shape as those of `jax.nn.initializers` do, and draws from the same distribution. A
network that is only traced, for its shapes, gets JAX's own draws.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Initializer = Callable[..., Array]
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def drawn_by(draw: Draw, traced: Any) -> Initializer:
    """Return the initializer that draws by numpy, from a key, and where keys are traced by JAX."""

    def initialise(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        if isinstance(key, jax.core.Tracer):
            drawn: Array = traced(key, tuple(shape), dtype)
            return drawn
        words = np.asarray(jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key)
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(words.ravel().tolist())))
        return jnp.asarray(draw(generator, tuple(shape)), dtype)

    return initialise


def normal(mode: Literal["fan_in", "fan_out"]) -> Initializer:
    """Return He's initializer: normal, of variance 2 over "fan_in" or "fan_out", the inputs or outputs of a kernel."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        places = math.prod(shape[:-2])
        fan = places * (shape[-2] if mode == "fan_in" else shape[-1])
        return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan))

    return drawn_by(draw, jax.nn.initializers.variance_scaling(2.0, mode, "normal"))


def truncated(deviation: float) -> Initializer:
    """Return the initializer of a normal distribution cut off at twice its deviation."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = generator.standard_normal(shape, np.float32)
        while (outside := np.abs(values) > 2).any():
            values[outside] = generator.standard_normal(np.count_nonzero(outside), np.float32)
        return values * np.float32(deviation)

    return drawn_by(draw, jax.nn.initializers.truncated_normal(deviation))


def uniform() -> Initializer:
    """Return Glorot's (Xavier's) initializer: uniform, of variance 2 over inputs and outputs together."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    return drawn_by(draw, jax.nn.initializers.xavier_uniform())


he_normal, he_normal_depthwise = normal("fan_out"), normal("fan_in")
truncated_normal = truncated(0.02)
xavier_uniform = uniform()
