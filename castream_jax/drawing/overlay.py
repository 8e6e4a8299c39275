"""A heat map over its image, in the colours that every picture and page shares."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib import colormaps

from castream_jax.compute.masking import upsample

COLOURS = colormaps["inferno"]
HEAT = (0.25, 0.75)
"""Share of the colour in an overlay at saliency 0 and 1; the rest is the image in grey, so that every hue is heat."""
LIFT = 0.1
"""Brightness that black gets in an overlay: inferno is black at 0."""


def overlay(image: Float[np.ndarray, "H W 3"], saliency: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "H W 3"]:
    """Return a map's colours over the grey image, both in 0..1; the more salient, the less of the image."""
    grey = LIFT + (1 - LIFT) * image @ np.array([0.299, 0.587, 0.114], np.float32)  # [H W]
    heat = np.clip(upsample(jnp.asarray(saliency, jnp.float32), (image.shape[0], image.shape[1])), 0, 1)  # [H W]
    share = (HEAT[0] + (HEAT[1] - HEAT[0]) * heat)[..., None]  # [H W 1]
    return np.clip(share * COLOURS(heat)[..., :3] + (1 - share) * grey[..., None], 0, 1)


def colour_scale(rows: int) -> Float[np.ndarray, "rows 256 3"]:
    """Return the colours of saliency 0 to 1, from left to right, as they look over middle grey."""
    return overlay(np.full((rows, 256, 3), 0.5, np.float32), np.linspace(0, 1, 256, dtype=np.float32)[None])
