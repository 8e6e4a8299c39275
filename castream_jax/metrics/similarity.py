"""How alike two maps are, as pictures."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

WINDOW = 7
"""Side of the windows that are compared, in pixels."""
C1, C2 = 0.01**2, 0.03**2
"""What keeps quotients of small numbers finite, of maps in 0..1."""


def window_means(values: Float[Array, "B H W"], side: int) -> Float[Array, "B h w"]:
    """Return the mean of each window that lies inside of the map."""
    # By products with bands of ones: a windowed sum takes a CPU longer, and the compiler minutes of maps that it knows.
    down, right = (mean_matrix(length, side) for length in values.shape[1:])
    return jnp.einsum("bhw,yh,xw->byx", values, down, right, precision=lax.Precision.HIGHEST)


def mean_matrix(length: int, side: int) -> Float[np.ndarray, "places length"]:
    """Return the matrix that takes the mean of `side` neighbours of a line."""
    offsets = np.arange(length)[None] - np.arange(length - side + 1)[:, None]
    return (((offsets >= 0) & (offsets < side)) / side).astype(np.float32)


def structural_similarity(a: Float[Array, "B H W"], b: Float[Array, "B H W"]) -> Float[Array, "B"]:
    """Return the mean structural similarity of maps in [0, 1], at most 1.

    Over the even windows of 7x7 pixels that lie inside, with the variances of a sample; smaller maps are one window.

    Source: Wang et al., 2004.
    """
    side = min(WINDOW, *a.shape[1:])
    mean_a, mean_b = window_means(a, side), window_means(b, side)
    sample = side**2 / max(side**2 - 1, 1)
    squares, products = (window_means(a**2 + b**2, side), window_means(a * b, side))
    spread = sample * (squares - mean_a**2 - mean_b**2)
    together = sample * (products - mean_a * mean_b)
    of_means = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (of_means * (2 * together + C2) / (spread + C2)).mean((1, 2))
