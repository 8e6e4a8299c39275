"""Score-CAM (Wang et al., 2020): a channel's weight is the probability of the class on the image it masks.

The published variant: probabilities, no baseline subtracted, no softmax over channels (METHOD 2).
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.gradient import weighted_map
from castream_jax.masking import mask_images, min_max, upsample
from castream_jax.passes import map_in_chunks


def score_cam(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    feature_map: Float[Array, "B h w C"],
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B S"],
    mean: Sequence[float],
    std: Sequence[float],
    chunk: int,
) -> Float[Array, "S B h w"]:
    """Return Score-CAM maps in [0, 1] for S scores of each image, from one set of forward passes.

    Args:
      score_fn: from normalised images to probabilities (any score works).
      feature_map: the target activation A, whose channels are the masks.
      images: normalised images.
      labels: for each image the columns of `score_fn` to explain. Several networks that share a trunk
        are explained together by concatenating their probabilities.
      mean, std: the images' normalisation; masks apply in pixel space.
      chunk: masked images in one forward pass.

    Source: METHOD 2.
    """
    weights = score_cam_weights(score_fn, feature_map, images, labels, mean, std, chunk)
    return jnp.stack([weighted_map(feature_map, weights[..., s]) for s in range(labels.shape[1])])


def score_cam_weights(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    feature_map: Float[Array, "B h w C"],
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B S"],
    mean: Sequence[float],
    std: Sequence[float],
    chunk: int,
) -> Float[Array, "B C S"]:
    """Return the probability of each label on the image masked by each channel; arguments as for `score_cam`.

    A flat channel masks everything: all of them share one pass of a black image. The other
    (image, channel) pairs are packed across the batch into full chunks.
    """
    b, _, _, c = feature_map.shape
    size = (images.shape[1], images.shape[2])
    channels = feature_map.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(b * c, *feature_map.shape[1:3])
    live = channels.max((1, 2)) > channels.min((1, 2))  # [B*C]
    order = jnp.argsort(~live, stable=True)  # live pairs first

    def score(index: Array) -> Array:
        pair = order[index]
        masks = min_max(upsample(channels[pair], size, align_corners=True))  # [chunk H W]
        probabilities = score_fn(mask_images(images[pair // c], masks, mean, std))  # [chunk K]
        return jnp.take_along_axis(probabilities, labels[pair // c], axis=1)  # [chunk S]

    scores = map_in_chunks(score, b * c, chunk, count=live.sum())  # [B*C S], the dead pairs' rows undefined
    scores = jnp.zeros_like(scores).at[order].set(scores, unique_indices=True)
    black = score_fn(mask_images(images[:1], jnp.zeros((1, *size)), mean, std))[0]  # [K]
    return jnp.where(live.reshape(b, c, 1), scores.reshape(b, c, -1), black[labels][:, None])
