"""Null maps, which know nothing of the network's answer: what a metric gives for nothing.

They are measured as attributions are, under every pooling, so that their rows stand in the same table. What to expect
of them, METHOD 3 being the definitions:

- `random`: drawn anew for each image on the grid of the attributions, and interpolated as they are, so that it is as
  coarse as they are. What a metric gives for structure alone.
- `gaussian`: high in the middle, where photographers put things. What it gives for that habit.
- `constant`: ones. The masked image is the image, so AD, AG and AI are 0 by definition, and must be set so: an image
  multiplied by ones in floating point differs in its last bits, and AI would count that as an increase in many of
  the images. Every pixel ties, so insertion and deletion are what the order of equal pixels gives. It is not min-max
  normalised as other maps are: that would make a flat map zeros, a black image, and its AD that of seeing nothing
  rather than of knowing nothing.
- `fake`: ones but for one corner pixel (Poppi et al., 2021, "Fake-CAM"). It keeps everything, so its AD is nearly 0,
  better than any explanation's: AD alone rewards maps that say nothing. The pixel comes last in the order of equal
  pixels too (the first flat index), so its insertion and deletion are those of `constant`.
- `channel_sum`: all channels of the feature map that attributions start from, added up. It knows the image and the
  trunk, and no class: what a metric gives for where the network responds at all. A method that is no better explains no
  class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Scene
from castream_jax.compute.masking import min_max, upsample

SEED = 0
"""Of the random map."""
SPREAD = 0.25
"""The Gaussian's standard deviation, of each side of the image."""


def random_maps(indices: Int[Array, "B"], size: tuple[int, int], seed: int) -> Float[Array, "B h w"]:
    """Return uniform noise, min-max normalised, for the images of these places in the dataset.

    A map depends on the seed and its image's index alone: not on the batch, the device or the process.
    """
    key = jax.random.key(seed)
    noise = jax.vmap(lambda index: jax.random.uniform(jax.random.fold_in(key, index), size))(indices)
    return min_max(noise)


def gaussian_map(size: tuple[int, int]) -> Float[Array, "h w"]:
    """Return a Gaussian in the middle, as wide as the image is in each direction, min-max normalised."""
    rows, columns = (((np.arange(length) + 0.5) / length - 0.5) / SPREAD for length in size)
    return min_max(jnp.asarray(np.exp(-0.5 * (rows[:, None] ** 2 + columns**2)), jnp.float32))


def constant_map(size: tuple[int, int]) -> Float[Array, "h w"]:
    """Return ones."""
    return jnp.ones(size, jnp.float32)


def fake_map(size: tuple[int, int]) -> Float[Array, "h w"]:
    """Return ones but for a zero at the top left."""
    return constant_map(size).at[0, 0].set(0)


def draw_random(scene: Scene) -> Float[Array, "B H W"]:
    """Return the random map at the images' size."""
    # Weights of an interpolation sum to 1 only up to rounding: hence the clip.
    return jnp.clip(upsample(random_maps(scene.indices, scene.grid, SEED), scene.size), 0, 1)


def draw_same(draw: Callable[[tuple[int, int]], Float[Array, "H W"]]) -> Callable[[Scene], Float[Array, "B H W"]]:
    """Return the function that draws the same map for every image."""
    return lambda scene: jnp.broadcast_to(draw(scene.size), scene.images.shape[:3])


def draw_channel_sum(scene: Scene) -> Float[Array, "B H W"]:
    """Return the positive part of the sum of all channels, min-max normalised, at the images' size."""
    maps = min_max(jax.nn.relu(scene.feature_map.astype(jnp.float32).sum(-1)))
    return jnp.clip(upsample(maps, scene.size), 0, 1)


@dataclass(frozen=True)
class NullMap:
    """A map that knows nothing of what the network says."""

    key: str
    name: str
    meaning: str
    draw: Callable[[Scene], Float[Array, "B H W"]] = field(repr=False)
    """Maps in [0, 1] at the images' size."""


RANDOM = NullMap("random", "Random", "Noise as coarse as the attributions: what structure alone gives.", draw_random)
GAUSSIAN = NullMap("gaussian", "Centred Gaussian", "Where photographers put things.", draw_same(gaussian_map))
CONSTANT = NullMap("constant", "Constant", "Ones: the order of equal pixels.", draw_same(constant_map))
FAKE = NullMap("fake", "All but one pixel", "Ones but for a corner: it keeps all.", draw_same(fake_map))
CHANNEL_SUM = NullMap("channel_sum", "Sum of channels", "Where the network responds, for no class.", draw_channel_sum)

NULL_MAPS = {null.key: null for null in (RANDOM, GAUSSIAN, CONSTANT, FAKE, CHANNEL_SUM)}
"""By key, in the order of the table."""
