"""Drop in deletion: what a class loses when what the map shows is taken away."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import castream_jax as ca
from castream_jax.masking import mask_images, upsample
from castream_jax.passes import map_in_chunks


def drop_in_deletion(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B"],
    maps: Float[Array, "B h w"],
    normalisation: ca.Normalisation,
    chunk: int = 64,
) -> Float[Array, "B"]:
    """Return `(p - d) / p`, d being the probability on the image times 1 - map."""
    rest = 1 - upsample(maps, (images.shape[1], images.shape[2]))  # [B H W]
    mean, std = normalisation.mean, normalisation.std

    def score(i: Int[Array, "n"]) -> Float[Array, "n 2"]:
        taken = mask_images(images[i], rest[i], mean, std)
        scores = jnp.stack([score_fn(images[i]), score_fn(taken)], axis=1)  # [n 2 K]
        return jnp.take_along_axis(scores, labels[i, None, None], axis=2)[..., 0]

    p, d = map_in_chunks(score, len(images), chunk).T
    return (p - d) / p
