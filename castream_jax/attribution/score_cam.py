"""Score-CAM (Wang et al., 2020): a channel's weight is the probability of the class on the image it masks.

The published variant: probabilities, no baseline subtracted, no softmax over channels (METHOD 2). Others have names.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.certificate import certify, certify_beginnings
from castream_jax.attribution.channel_masks import AUTHORS, ChannelWeights, Making, Masks
from castream_jax.attribution.few_passes import describe_estimate, remark_on_estimate, weigh_few, weigh_until
from castream_jax.attribution.method import Method, Scene, Subject, weighted_sum
from castream_jax.compute.questions import Ask, Conversation, Question, Search
from castream_jax.errors import InputError, choose

VARIANTS = {
    "published": "probability, no baseline, aligned corners",
    "increase": "probability less the black image's, aligned corners",
    "softmax": "softmax over channels of probabilities, aligned corners",
    "faster": "probability, of the 10 channels that vary most, aligned corners",
    "pytorch_grad_cam": "softmax over channels of logits, normalised images masked, aligned corners",
    "torchcam": "softmax over channels of logits, normalised images masked, centres",
}
"""What is in the hash of each. "increase" is the paper's equation, "softmax" its algorithm; "faster" is
Faster-Score-CAM; the last two are those of the libraries of these names."""
MAKINGS = {
    "pytorch_grad_cam": Making(masks_pixels=False, weighs_logits=True),
    "torchcam": Making(aligns_corners=False, masks_pixels=False, weighs_logits=True),
}
"""How those make masks that do it otherwise than the published one."""
STRONGEST = 10
"""Channels of "faster"."""


@functools.lru_cache
def score_cam(
    tolerance: float = 0.0, variant: str = "published", passes: float | int = 0, error: float | int = 0.0
) -> Method:
    """Return Score-CAM as a method.

    A flat channel masks everything: all of them share one pass of a black image. The other (image, channel) pairs are
    packed across the batch into full chunks, once for all classes and poolings.

    Args:
      tolerance: leave out channels that together change no position of any `ReLU(sum_k w_k A^k)` of the image by more
        than this share of its maximum; 0: leave out none. Scores must be in [0, 1] then.
      variant: of `VARIANTS`; those but the published one know none of the other settings.
      passes: ask for so many channels of an image at most, or below 1 for this share of them, and estimate the other
        weights (`few_passes`); 0: ask for all. Scores must be in [0, 1] then.
      error: ask for as many channels of each image as it takes until the largest error of its maps is stated to be
        below this; 0: for all.

    Raises:
      InputError: a setting out of range, another variant, or two settings that exclude each other.

    Source: METHOD 2; tolerance (`certify`), passes and error (`few_passes`) are ours.
    """
    if not 0 <= tolerance < 1:
        raise InputError(f"Score-CAM's tolerance is {tolerance}: expected a share of the map's maximum, 0 to below 1.")

    if not (0 <= passes < 1 or (1 <= passes < np.inf and passes == int(passes))):
        raise InputError(
            f"score_cam_passes is {passes}: expected a number of channels, 160, or a share of them below 1, 0.125."
        )
    if not 0 <= error < 1:
        raise InputError(f"score_cam_error is {error}: expected a share of the map's range, 0 to below 1.")
    choose("score_cam_variant", variant, VARIANTS)
    named = {"score_cam_tolerance": tolerance, "score_cam_passes": passes, "score_cam_error": error}
    some = {name: value for name, value in named.items() if value}
    if some and variant != "published":
        name, value = next(iter(some.items()))
        raise InputError(
            f"{name} is {value} and score_cam_variant {variant!r}: only the weights of 'published' are certified or "
            "estimated. Set one of them."
        )
    if len(some) > 1:
        told = " and ".join(f"{name} is {value}" for name, value in some.items())
        raise InputError(f"{told}: each says which channels to ask for. Set one of them.")
    estimates = {name: value for name, value in (("passes", passes), ("error", error)) if value}

    def ask(scene: Scene) -> Conversation:
        if variant == "faster":
            return (yield from weigh_varied(scene))
        if tolerance:
            return (yield from weigh_strongest(scene, tolerance))
        if error:
            return (yield from weigh_until(scene, error))
        if passes:
            return (yield from weigh_few(scene, passes))
        weights, black = yield from weigh_all(scene, MAKINGS.get(variant, AUTHORS))
        if variant == "increase":
            return replace(weights, values=weights.values - black)
        return weights if variant == "published" else replace(weights, values=jax.nn.softmax(weights.values, 1))

    return Method(
        key="score_cam",
        name="Score-CAM",
        meaning="Channels weighted by the probability of the class on the image that each of them masks.",
        formula="w_k = p(x ⊙ A^k)",
        source="Wang et al., 2020",
        options={"variant": VARIANTS[variant]} | estimates,
        columns=("score_cam_bound", "score_cam_left_out", "score_cam_passes", "score_cam_error"),
        asks_logits=MAKINGS.get(variant, AUTHORS).weighs_logits,
        sums=sums,
        ask=ask,
        describe=describe_estimate if estimates else describe if tolerance else None,
        remark=remark,
        configure=score_cam,
    )


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`."""
    return weighted_sum(subject.feature_map, subject.answers.values)


def describe(subject: Subject) -> Mapping[str, Float[Array, "B"]]:
    """Return what leaving out channels can have changed."""
    return {"score_cam_bound": subject.answers.bound, "score_cam_left_out": subject.answers.left_out}


def remark(columns: Mapping[str, Float[np.ndarray, "n"]]) -> str:
    """Say what leaving out channels can have changed, before the map is min-max scaled."""
    if "score_cam_error" in columns:
        return remark_on_estimate(columns)
    bounds, left_out = columns["score_cam_bound"], columns["score_cam_left_out"]
    mean, worst, share = (
        f"{100 * value:.3g} %" if np.isfinite(value) else "—"
        for value in (bounds.mean(), bounds.max(), left_out.mean())
    )
    return (
        f"{share} of channels left out; no position moves by more than {mean} of the map's maximum, mean over images, "
        f"{worst} in the worst."
    )


def weigh_all(scene: Scene, making: Making = AUTHORS) -> Conversation:
    """Find what the image behind each channel scores, for every score, and what a flat channel does [B 1 Q]."""
    masks = Masks.of(scene, making)
    b, c = len(scene.images), scene.feature_map.shape[-1]
    question = Question(
        ("channels", making), masks.make, b * c, "image", masks.image, masks.live, logits=making.weighs_logits
    )
    black, scores = yield [masks.black(), question]
    dead, live = black[0][:, None], masks.live.reshape(b, c, 1)  # [B 1 Q], [B C 1]
    values = jnp.where(live, scores.reshape(b, c, -1), dead)
    nothing = jnp.zeros(scene.columns.shape)
    return ChannelWeights(values, nothing, nothing), dead


def weigh_varied(scene: Scene) -> Conversation:
    """Find the weights of the channels of each image whose standard deviation over positions is largest."""
    masks = Masks.of(scene)
    b, c = len(scene.images), scene.feature_map.shape[-1]
    count = min(STRONGEST, c)
    varied = jax.lax.top_k(scene.feature_map.astype(jnp.float32).std((1, 2)), count)[1]  # [B count]
    pairs = (varied + c * jnp.arange(b)[:, None]).reshape(-1)
    question = Question(
        ("varied channels",), lambda i: masks.make(pairs[i]), b * count, "image", lambda i: masks.image(pairs[i])
    )
    (scores,) = yield [question]
    values = jnp.zeros((b * c, scores.shape[-1]), scores.dtype).at[pairs].set(scores).reshape(b, c, -1)
    nothing = jnp.zeros(scene.columns.shape)
    return ChannelWeights(values, nothing, nothing)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Weighing:
    """How far the weights of B images are known."""

    values: Float[Array, "B C Q"]
    known: Bool[Array, "B C"]
    bound: Float[Array, "B Q"]


def weigh_strongest(scene: Scene, tolerance: float) -> Conversation:
    """Find the weights of each image's strongest channels: the fewest that certify all its maps.

    How many that is shows only with the weights, since the map's maximum depends on them. So weigh and certify by
    turns. Each turn forwards one full chunk, of the images that are not certified yet: first the strongest channel of
    each, then the second strongest, and so on. Images thus end at about the same time, and what is forwarded in vain
    is about one chunk in all. Strong is what is large somewhere: max |A^k|.
    """
    masks = Masks.of(scene)
    feature_map, (b, c) = scene.feature_map, (len(scene.images), scene.feature_map.shape[-1])
    live = masks.live.reshape(b, c)
    strength = jnp.abs(feature_map.astype(jnp.float32)).max((1, 2))
    ranked = jnp.argsort(-strength, axis=1)  # [B C] channels, strongest first
    (black,) = yield [masks.black()]
    dead = black[0][:, None]  # [B 1 Q]

    def state(values: Array, known: Array) -> Weighing:
        return Weighing(values, known, certify(feature_map, values, known))

    def missing(weights: Weighing) -> Array:
        certified = (weights.bound <= tolerance).all(1, keepdims=True)  # [B 1], false for NaN
        return ~(certified | weights.known)

    def run(ask: Ask, chunk: int) -> tuple[Weighing, Int[Array, "B"], Int[Array, "B"]]:
        chunk = min(chunk, b * c)
        order = (ranked + c * jnp.arange(b)[:, None]).T.reshape(-1)  # of pairs

        def turn(weights: Weighing) -> Weighing:
            places = jnp.flatnonzero(missing(weights).reshape(-1)[order], size=chunk, fill_value=b * c)
            pairs = order.at[places].get(mode="fill", fill_value=b * c)  # b * c: none, the chunk is not full
            asked = jnp.minimum(pairs, b * c - 1)
            scores = ask(masks.make(asked), masks.image(asked))
            values = weights.values.reshape(b * c, -1).at[pairs].set(scores, mode="drop")
            known = weights.known.reshape(-1).at[pairs].set(True, mode="drop")
            return state(values.reshape(weights.values.shape), known.reshape(b, c))

        start = state(jnp.where(live[..., None], 0.0, dead), ~live)
        weights = lax.while_loop(lambda weights: missing(weights).any(), turn, start)
        return weights, (weights.known & live).sum(1), (~live).sum(1)

    (weights,) = yield [Search(("strongest channels", tolerance), run, c)]
    return keep_fewest(weights, feature_map, live, ranked, tolerance)


def keep_fewest(
    weights: Weighing,
    feature_map: Float[Array, "B h w C"],
    live: Bool[Array, "B C"],
    ranked: Int[Array, "B C"],
    tolerance: float,
) -> ChannelWeights:
    """Return the weights of the fewest of each image's strongest channels that are certified already.

    Full chunks weigh some channels too many, and which ones depends on the other images. What is kept does not: an
    image has the same map in any batch, with any chunk and on any number of devices.
    """
    bounds = certify_beginnings(feature_map, weights.values, ~live, ranked)  # [B C+1 Q]
    known = jnp.take_along_axis(weights.known, ranked, axis=1)
    weighed = jnp.cumprod(known, axis=1).sum(1, keepdims=True)  # the longest beginning without a gap
    counts = jnp.arange(known.shape[1] + 1)[None]
    certified = (bounds <= tolerance).all(2) & (counts <= weighed)
    settled = certified.any(1, keepdims=True)  # else, by rounding or NaN, all that was weighed is kept
    fewest = certified.argmax(1)
    kept = ~settled | ~live | (jnp.argsort(ranked, axis=1) < fewest[:, None])
    known = weights.known & kept
    least = jnp.take_along_axis(bounds, fewest[:, None, None], axis=1)[:, 0]
    return ChannelWeights(
        values=jnp.where(known[..., None], weights.values, 0),
        bound=jnp.where(settled, least, weights.bound),
        left_out=jnp.broadcast_to((~known).mean(1, keepdims=True), weights.bound.shape),
    )


SCORE_CAM = score_cam()
