"""Binds networks to metrics: AD, AG, AI, insertion and deletion of maps under a protocol."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.masking import mask_images, upsample
from castream_jax.metrics import perturbation, recognition
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.inputs import Normalisation
from castream_jax.passes import map_in_chunks


def measure_maps(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    images: Float[Array, "B H W 3"],
    maps: Float[Array, "J h w"],
    source: Int[Array, "J"],
    labels: Int[Array, "J *S"],
    protocol: Protocol,
    normalisation: Normalisation,
    chunk: int,
) -> dict[str, Array]:
    """Return every metric of J maps as arrays over the maps.

    Args:
      score_fn: from normalised images to probabilities.
      images: normalised images.
      maps: saliency maps in [0, 1]; `source` says of which image, `labels` which column of `score_fn` each is of, or
        which S columns: one pass gives them all.
      protocol: the choices that the numbers depend on.
      normalisation: how the images were normalised: masks apply in pixel space.
      chunk: images in one forward pass.

    Returns:
      `probability` (p) and `masked_probability` (o), `average_drop`, `average_gain`, `average_increase`,
      `insertion`, `deletion`, all [J *S] fractions, and `insertion_curve`, `deletion_curve` [J *S points].

    Source: METHOD 3.
    """
    size = (images.shape[1], images.shape[2])
    saliency = upsample(maps, size)  # [J H W]
    columns = labels.reshape(len(maps), -1)  # [J S]

    def gather(scores: Array) -> Array:
        return scores[source[:, None], columns].reshape(labels.shape)

    def masked_score(index: Array) -> Array:
        masked = mask_images(images[source[index]], saliency[index], normalisation.mean, normalisation.std)
        return jnp.take_along_axis(score_fn(masked), columns[index], axis=1)  # [chunk S]

    blurred = perturbation.blur(images, jnp.asarray(protocol.blur_kernel()))
    b = len(images)
    ends = jnp.concatenate([images, blurred, jnp.zeros_like(images[:1])])  # every deletion ends in zeros
    shared = map_in_chunks(lambda i: score_fn(ends[i]), 2 * b + 1, chunk)  # [2B+1 K]
    p, p_blurred, p_zero = gather(shared[:b]), gather(shared[b : 2 * b]), shared[2 * b, labels]
    o = map_in_chunks(masked_score, len(maps), chunk).reshape(labels.shape)
    whole = (saliency == 1).all((1, 2)).reshape(-1, *(1,) * (labels.ndim - 1))
    o = jnp.where(whole, p, o)  # a map of ones keeps the image: what rounding adds is no increase

    step = protocol.step(size[1])
    insertion = perturbation.perturbation_curves(
        score_fn, blurred, images, saliency, source, labels, (p_blurred, p), step, chunk
    )
    deletion = perturbation.perturbation_curves(
        score_fn, images, jnp.zeros_like(images), saliency, source, labels, (p, p_zero), step, chunk
    )
    return {
        "probability": p,
        "masked_probability": o,
        "average_drop": recognition.average_drop(p, o),
        "average_gain": recognition.average_gain(p, o),
        "average_increase": recognition.average_increase(p, o),
        "insertion": perturbation.area(insertion),
        "deletion": perturbation.area(deletion),
        "insertion_curve": insertion,
        "deletion_curve": deletion,
    }
