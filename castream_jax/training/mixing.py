"""Mixup and cutmix, on the device: each image of a batch with the other of its pair (0 with 1, 2 with 3, ...).

Batches come shuffled, so neighbours are a random pair; and they lie on one device, so that mixing sends no image
from one device to another.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def mix_pairs(
    key: PRNGKeyArray, images: Float[Array, "B H W 3"], targets: Float[Array, "B K"], mixup: float, cutmix: float
) -> tuple[Float[Array, "B H W 3"], Float[Array, "B K"]]:
    """Return images and targets mixed in pairs, all with one random share.

    Args:
      key: decides the share and, if both ways are on, which of them the batch takes, with equal chance.
      images, targets: a batch of even size; targets are class probabilities, or of several labels each class's own.
      mixup: alpha of the Beta(alpha, alpha) distribution of an image's own share; 0: never.
      cutmix: likewise, the share of the area outside the rectangle that comes from the other image; 0: never.

    Source: the AdamW recipe of METHOD 5; Zhang et al. 2018 (mixup), Yun et al. 2019 (cutmix).
    """
    which, share, place = jax.random.split(key, 3)
    height, width = images.shape[1:3]
    keep = jnp.ones((height, width))
    if mixup:
        keep = jnp.broadcast_to(jax.random.beta(share, mixup, mixup), (height, width))
    if cutmix:
        outside = 1.0 - random_rectangle(place, height, width, 1 - jax.random.beta(share, cutmix, cutmix))
        keep = jnp.where(jax.random.bernoulli(which), outside, keep) if mixup else outside
    own = keep.mean()
    pixels = keep[None, :, :, None]
    return pixels * images + (1 - pixels) * swap_pairs(images), own * targets + (1 - own) * swap_pairs(targets)


def random_rectangle(key: PRNGKeyArray, height: int, width: int, area: Array) -> Float[Array, "H W"]:
    """Return ones in a rectangle of the image's shape and this share of its area, clipped at the borders; else zeros.

    Its centre is uniform over the image.
    """
    centre = jax.random.uniform(key, (2,)) * jnp.array([height, width])
    half = jnp.sqrt(area) * jnp.array([height, width]) / 2
    low, high = jnp.round(centre - half), jnp.round(centre + half)
    rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    inside_rows = (rows >= low[0]) & (rows < high[0])  # [H 1]
    inside_columns = (columns >= low[1]) & (columns < high[1])  # [1 W]
    return jnp.logical_and(inside_rows, inside_columns).astype(jnp.float32)


def swap_pairs(array: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """Return an array with rows 0 and 1 exchanged, rows 2 and 3, and so on."""
    pairs = array.reshape(array.shape[0] // 2, 2, *array.shape[1:])
    return pairs[:, ::-1].reshape(array.shape)
