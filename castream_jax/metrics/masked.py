"""The image multiplied by its map, which average drop, gain and increase ask for together."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.masking import mask_images
from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.metric import Case


def masked_probability(case: Case) -> Conversation:
    """Find the probability of the class on the masked image (o), [J Q] (METHOD 3)."""
    mean, std = case.normalisation.mean, case.normalisation.std
    if case.protocol.mask_space == "normalised":
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)

    def make(j: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        return mask_images(case.images[case.of[j]], case.saliency[j], mean, std)

    key = "masked", case.protocol.mask_space
    (o,) = yield [Question(key, make, len(case.saliency), "map", lambda j: case.of[j])]
    whole = (case.saliency == 1).all((1, 2))[:, None]
    return jnp.where(whole, case.p, o)  # a map of ones keeps the image: what rounding adds is no increase
