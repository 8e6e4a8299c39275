"""Score-CAM (Wang et al., 2020): a channel's weight is the probability of the class on the image it masks.

The published variant: probabilities, no baseline subtracted, no softmax over channels (METHOD 2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.certificate import certify, certify_beginnings
from castream_jax.attribution.gradient import weighted_sum
from castream_jax.errors import InputError
from castream_jax.masking import mask_images, min_max, upsample
from castream_jax.passes import map_in_chunks


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ScoreCam:
    """Maps of S scores of B images, how exact they are, and what they cost."""

    maps: Float[Array, "S B h w"]
    """In [0, 1]."""
    sums: Float[Array, "S B h w"]
    """`sum_k w_k A^k`, of which the maps are the positive part, min-max scaled."""
    bound: Float[Array, "S B"]
    """What the channels left out can change at most in the map before min-max, relative to that map's maximum;
    0 where no weight is missing. `certify` says what it means after min-max."""
    left_out: Float[Array, "B"]
    """The share of the channels that the map is without."""
    weighed: Int[Array, "B"]
    """Live channels that went through the network, be they part of the map or left out."""
    passes: Int[Array, ""]
    """Images that went through the network: masked ones, what fills the last chunk, and the black one."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChannelWeights:
    """The weights of C channels of B images for S scores; the other fields are as in `ScoreCam`."""

    values: Float[Array, "B C S"]
    """0 where not known."""
    known: Bool[Array, "B C"]
    bound: Float[Array, "B S"]
    weighed: Int[Array, "B"]
    passes: Int[Array, ""]


def score_cam(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    feature_map: Float[Array, "B h w C"],
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B S"],
    mean: Sequence[float],
    std: Sequence[float],
    chunk: int,
    tolerance: float = 0.0,
) -> ScoreCam:
    """Return Score-CAM maps for S scores of each image, from one set of forward passes.

    Args:
      score_fn: from normalised images to probabilities. Any score works with tolerance 0, else it must be in [0, 1].
      feature_map: the target activation A, whose channels are the masks.
      images: normalised images.
      labels: for each image the columns of `score_fn` to explain. Several networks that share a trunk
        are explained together by concatenating their probabilities.
      mean, std: the images' normalisation; masks apply in pixel space.
      chunk: masked images in one forward pass.
      tolerance: leave out channels that together change no position of any `ReLU(sum_k w_k A^k)` of the image by more
        than this share of its maximum; 0: leave out none.

    Raises:
      InputError: a tolerance outside [0, 1).

    Source: METHOD 2; the tolerance is ours (`certify`).
    """
    weights = score_cam_weights(score_fn, feature_map, images, labels, mean, std, chunk, tolerance)
    sums = jnp.stack([weighted_sum(feature_map, weights.values[..., s]) for s in range(labels.shape[1])])
    return ScoreCam(
        maps=min_max(jax.nn.relu(sums)),
        sums=sums,
        bound=weights.bound.T,
        left_out=(~weights.known).mean(1),
        weighed=weights.weighed,
        passes=weights.passes,
    )


def score_cam_weights(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    feature_map: Float[Array, "B h w C"],
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B S"],
    mean: Sequence[float],
    std: Sequence[float],
    chunk: int,
    tolerance: float = 0.0,
) -> ChannelWeights:
    """Return the probability of each label on the image masked by each channel; arguments as for `score_cam`.

    A flat channel masks everything: all of them share one pass of a black image. The other
    (image, channel) pairs are packed across the batch into full chunks.
    """
    if not 0 <= tolerance < 1:
        raise InputError(f"Score-CAM's tolerance is {tolerance}: expected a share of the map's maximum, 0 to below 1.")
    b, _, _, c = feature_map.shape
    size = (images.shape[1], images.shape[2])
    channels = feature_map.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(b * c, *feature_map.shape[1:3])
    live = channels.max((1, 2)) > channels.min((1, 2))  # [B*C]

    def score(pair: Array) -> Array:
        masks = min_max(upsample(channels[pair], size, align_corners=True))  # [chunk H W]
        probabilities = score_fn(mask_images(images[pair // c], masks, mean, std))  # [chunk K]
        return jnp.take_along_axis(probabilities, labels[pair // c], axis=1)  # [chunk S]

    black = score_fn(mask_images(images[:1], jnp.zeros((1, *size)), mean, std))[0]  # [K]
    dead = black[labels][:, None]  # [B 1 S]
    chunk = min(chunk, b * c)
    if tolerance:
        return _weigh_strongest(score, feature_map, live.reshape(b, c), dead, chunk, tolerance)
    order = jnp.argsort(~live, stable=True)  # live pairs first
    count = live.sum()
    scores = map_in_chunks(lambda i: score(order[i]), b * c, chunk, count)  # [B*C S], the dead pairs' rows undefined
    scores = jnp.zeros_like(scores).at[order].set(scores, unique_indices=True)
    return ChannelWeights(
        values=jnp.where(live.reshape(b, c, 1), scores.reshape(b, c, -1), dead),
        known=jnp.ones((b, c), bool),
        bound=jnp.zeros(labels.shape),
        weighed=live.reshape(b, c).sum(1),
        passes=-(-count // chunk) * chunk + 1,
    )


def _weigh_strongest(
    score: Callable[[Int[Array, "chunk"]], Float[Array, "chunk S"]],
    feature_map: Float[Array, "B h w C"],
    live: Bool[Array, "B C"],
    dead: Float[Array, "B 1 S"],
    chunk: int,
    tolerance: float,
) -> ChannelWeights:
    """Return the weights of each image's strongest channels: the fewest that certify all its maps.

    How many that is shows only with the weights, since the map's maximum depends on them. So weigh and certify by
    turns. Each turn forwards one full chunk, of the images that are not certified yet: first the strongest channel of
    each, then the second strongest, and so on. Images thus end at about the same time, and what is forwarded in vain
    is about one chunk in all. Strong is what is large somewhere: max |A^k|.
    """
    b, c = live.shape
    strength = jnp.abs(feature_map.astype(jnp.float32)).max((1, 2))
    ranked = jnp.argsort(-strength, axis=1)  # [B C] channels, strongest first
    order = (ranked + c * jnp.arange(b)[:, None]).T.reshape(-1)  # of pairs

    def state(values: Array, known: Array, passes: Array) -> ChannelWeights:
        return ChannelWeights(values, known, certify(feature_map, values, known), (known & live).sum(1), passes)

    def missing(weights: ChannelWeights) -> Array:
        certified = (weights.bound <= tolerance).all(1, keepdims=True)  # [B 1], false for NaN
        return ~(certified | weights.known)

    def turn(weights: ChannelWeights) -> ChannelWeights:
        places = jnp.flatnonzero(missing(weights).reshape(-1)[order], size=chunk, fill_value=b * c)
        pairs = order.at[places].get(mode="fill", fill_value=b * c)  # b * c: none, the chunk is not full
        scores = score(jnp.minimum(pairs, b * c - 1))
        values = weights.values.reshape(b * c, -1).at[pairs].set(scores, mode="drop")
        known = weights.known.reshape(-1).at[pairs].set(True, mode="drop")
        return state(values.reshape(weights.values.shape), known.reshape(b, c), weights.passes + chunk)

    start = state(jnp.where(live[..., None], 0.0, dead), ~live, jnp.asarray(1))
    weighed = lax.while_loop(lambda weights: missing(weights).any(), turn, start)
    return _keep_fewest(weighed, feature_map, live, ranked, tolerance)


def _keep_fewest(
    weights: ChannelWeights,
    feature_map: Float[Array, "B h w C"],
    live: Bool[Array, "B C"],
    ranked: Int[Array, "B C"],
    tolerance: float,
) -> ChannelWeights:
    """Return the weights of the fewest of each image's strongest channels that are certified already.

    Full chunks weigh some channels too many, and which ones depends on the other images. What is kept does not: an
    image has the same map in any batch, with any chunk and on any number of devices.
    """
    bounds = certify_beginnings(feature_map, weights.values, ~live, ranked)  # [B C+1 S]
    known = jnp.take_along_axis(weights.known, ranked, axis=1)
    weighed = jnp.cumprod(known, axis=1).sum(1, keepdims=True)  # the longest beginning without a gap
    counts = jnp.arange(known.shape[1] + 1)[None]
    certified = (bounds <= tolerance).all(2) & (counts <= weighed)
    settled = certified.any(1, keepdims=True)  # else, by rounding or NaN, all that was weighed is kept
    fewest = certified.argmax(1)
    kept = ~settled | ~live | (jnp.argsort(ranked, axis=1) < fewest[:, None])
    known = weights.known & kept
    return ChannelWeights(
        values=jnp.where(known[..., None], weights.values, 0),
        known=known,
        bound=jnp.where(settled, jnp.take_along_axis(bounds, fewest[:, None, None], axis=1)[:, 0], weights.bound),
        weighed=weights.weighed,
        passes=weights.passes,
    )
