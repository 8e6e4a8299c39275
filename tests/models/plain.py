"""What layers are tested with and against: random arrays, and the convolution written out."""

import jax
import jax.numpy as jnp
import numpy as np


def draw(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def convolve_plainly(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Convolve in float64, position by position."""
    size = kernel.shape[0]
    x = np.pad(np.asarray(x, np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
    y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            y[:, i, j] = np.einsum("bhwc,hwcd->bd", patch, np.asarray(kernel, np.float64))
    return y
