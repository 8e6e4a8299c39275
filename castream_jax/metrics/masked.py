"""The image multiplied by its map, which average drop, gain and increase ask for together."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from castream_jax.compute.masking import mask_images
from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.metric import Case

MASKING = ("mask_space", "mask_share", "mask_baseline")
"""The choices of a protocol that masked images depend on."""
BLUR = 0.1
"""The standard deviation of the blurred baseline, of each side."""
SEED = 0
"""Of the baseline of noise."""


def masked_probability(case: Case) -> Conversation:
    """Find the probability of the class on the masked image (o), [J Q] (METHOD 3).

    Where the protocol says so, the mask is 1 for the most salient pixels and 0 for the others, and another image than
    a black one stands where the mask is 0.
    """
    protocol, ranks = case.protocol, case.ranks
    mean, std = case.normalisation.mean, case.normalisation.std
    if protocol.mask_space == "normalised":
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)
    kept = round(protocol.mask_share * ranks[0].size)
    other = None if protocol.mask_baseline == "black" else baseline(case)

    def make(j: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        of = case.of[j]
        images = case.images[of]
        masks = jnp.where(ranks[j] < kept, 1.0, 0.0) if protocol.mask_share else case.saliency[j]
        if other is None:
            return mask_images(images, masks, mean, std)
        behind = other[of if len(other) > 1 else jnp.zeros_like(of)]
        return masks[..., None] * images + (1 - masks[..., None]) * behind

    key = "masked", *(getattr(protocol, name) for name in MASKING)
    (o,) = yield [Question(key, make, len(case.saliency), "map", lambda j: case.of[j])]
    if protocol.mask_share:
        return o
    whole = (case.saliency == 1).all((1, 2))[:, None]
    return jnp.where(whole, case.p, o)  # a map of ones keeps the image: what rounding adds is no increase


def baseline(case: Case) -> Float[Array, "_ H W C"]:
    """Return what stands where a mask is 0, of each image, or one for all."""
    if case.protocol.mask_baseline == "mean":
        return case.blank("mean")
    if case.protocol.mask_baseline == "noise":
        noise = jax.random.uniform(jax.random.key(SEED), (1, *case.images.shape[1:]))
        mean, std = (jnp.asarray(v).reshape(1, 1, 1, -1) for v in (case.normalisation.mean, case.normalisation.std))
        return (noise - mean) / std
    rows, columns = (jnp.asarray(_gaussian(length)) for length in case.images.shape[1:3])
    return jnp.einsum("bhwc,Hh,Ww->bHWc", case.images, rows, columns, precision=jax.lax.Precision.HIGHEST)


def _gaussian(length: int) -> Float[np.ndarray, "length length"]:
    """Return the matrix that blurs a line of so many pixels; at an end, less of the Gaussian counts."""
    away = (np.arange(length)[:, None] - np.arange(length)) / (BLUR * length)
    weights = np.exp(-0.5 * away**2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
