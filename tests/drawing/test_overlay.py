"""The colours of a map over its image, and the resolution that they are interpolated to."""

import numpy as np
from matplotlib import colormaps

from castream_jax.drawing.overlay import HEAT, LIFT, overlay


def test_overlay_interpolates_by_half_pixel_centres_and_keeps_the_scale():
    image = np.full((2, 8, 3), 0.5, np.float32)
    saliency = np.array([[0.0, 1.0]], np.float32)
    expected = np.array([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    colours = colormaps["inferno"](expected)[:, :3]
    low, high = HEAT
    share = (low + (high - low) * expected)[:, None]
    grey = LIFT + (1 - LIFT) * 0.5
    np.testing.assert_allclose(overlay(image, saliency)[0], share * colours + (1 - share) * grey, atol=1e-6)
    flat = overlay(image, np.zeros((3, 3), np.float32))
    np.testing.assert_allclose(flat, np.broadcast_to(overlay(image, saliency)[0, 0], flat.shape), atol=1e-6)
