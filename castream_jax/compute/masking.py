"""From a saliency map to a masked image: min-max, upsampling, and the product in pixel space."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

EPSILON = 2.2e-16  # the reference's; 1e-8 already moves Grad-CAM++ maps by up to 0.08


def min_max(maps: Float[Array, "*batch h w"]) -> Float[Array, "*batch h w"]:
    """Scale each map to [0, 1]: `(s - min) / (max - min + eps)`. A flat map becomes zeros (METHOD 2)."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    # A compiler may recompute `maps` here with other rounding than for `low` and `high`: hence the clip.
    return jnp.clip((maps - low) / (high - low + EPSILON), 0, 1)


def upsample(
    maps: Float[Array, "*batch h w"], size: tuple[int, int], align_corners: bool = False
) -> Float[Array, "*batch H W"]:
    """Interpolate maps bilinearly to `size`, by half-pixel centres or by aligned corners (torch's two conventions)."""
    if maps.shape[-2:] == size:
        return maps
    rows = interpolation_matrix(maps.shape[-2], size[0], align_corners)
    columns = interpolation_matrix(maps.shape[-1], size[1], align_corners)
    return jnp.einsum("...hw,Hh,Ww->...HW", maps, rows, columns, precision=lax.Precision.HIGHEST)


def interpolation_matrix(size_in: int, size_out: int, align_corners: bool) -> Float[np.ndarray, "size_out size_in"]:
    """Return the matrix that interpolates a line of `size_in` values linearly at `size_out` places."""
    if align_corners:
        places = np.arange(size_out) * ((size_in - 1) / max(size_out - 1, 1))
    else:
        places = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    places = np.clip(places, 0, size_in - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size_in))).astype(np.float32)


def mask_images(
    images: Float[Array, "B H W C"], masks: Float[Array, "B H W"], mean: Sequence[float], std: Sequence[float]
) -> Float[Array, "B H W C"]:
    """Multiply normalised images by masks in pixel space: denormalise, multiply, normalise again.

    `((x std + mean) m - mean) / std`, computed as `m (x + mean/std) - mean/std`.
    """
    black = (jnp.asarray(mean) / jnp.asarray(std)).reshape(1, 1, 1, -1)
    return masks[..., None] * (images + black) - black
