"""Score-CAM from a few of its passes: a design says which channels to ask for, a Gaussian process fills in the others.

    masks -> half of the design -> passes -> process -> the other half -> passes -> process -> weights of all channels

The first half is chosen before any pass. The second asks where the first leaves the map most open: for strong channels
whose scores may still be large. What was asked stays as it came. The process is fitted to each image, class and pooling
by itself, so a map does not depend on the batch, the chunk or the devices, but for what rounding does to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.certificate import certify_estimate
from castream_jax.attribution.channel_design import MaskSpace, choose_channels, measure_masks
from castream_jax.attribution.channel_masks import Masks
from castream_jax.attribution.gaussian_process import fit, predict
from castream_jax.attribution.map_interval import draw_interval
from castream_jax.attribution.method import Scene, Subject
from castream_jax.compute.questions import Ask, Conversation, Question, Search

FIRST = 32
"""Channels that `weigh_until` asks for before it looks at the error; twice as many each time after that."""
LARGEST = 256
"""Channels of its design. An image that needs more is asked for all."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Estimate:
    """The weights of C channels of B images for Q scores, partly estimated, and what that does to the map."""

    values: Float[Array, "B C *Q"]
    """In [0, 1]."""
    low: Float[Array, "B h w *Q"]
    """Of each position of the map in [0, 1], the end of its interval."""
    high: Float[Array, "B h w *Q"]
    error: Float[Array, "B *Q"]
    """What the largest error of the map in [0, 1] is below, as stated."""
    bound: Float[Array, "B *Q"]
    """What is certified of it before min-max (`certify_estimate`)."""
    passes: Float[Array, "B *Q"]
    """Masked images that were asked."""
    left_out: Float[Array, "B *Q"]
    """The share of channels whose weights are estimates."""


def count_passes(passes: float | int, channels: int) -> int:
    """Return how many channels a setting asks for: a number of them, or below 1 a share."""
    return min(channels, int(passes) if passes >= 1 else max(1, round(passes * channels)))


def estimate_image(
    feature_map: Float[Array, "h w C"],
    space: MaskSpace,
    chosen: Int[Array, "m"],
    asked: Bool[Array, "m"],
    scores: Float[Array, "m Q"],
    flat: Float[Array, "Q"],
) -> tuple[Float[Array, "C Q"], Float[Array, "h w Q"], Float[Array, "h w Q"], Float[Array, "Q"]]:
    """Return one image's weights, the ends of its maps' intervals and their stated errors.

    Args:
      feature_map: the channels.
      space: their masks.
      chosen: the design.
      asked: which channels of it were asked.
      scores: theirs.
      flat: the scores of a black image, which a flat channel has.
    """

    def one(scores: Float[Array, "m"], flat: Float[Array, ""]) -> tuple[Array, Array, Array, Array]:
        process = fit(space, chosen, asked, scores)
        posterior = predict(space, process, scores, flat)
        interval = draw_interval(feature_map, space, process, posterior)
        return posterior.scores, interval.low, interval.high, interval.error

    return jax.vmap(one, (1, 0), -1)(scores, flat)


def choose_rest(
    space: MaskSpace,
    chosen: Int[Array, "first"],
    asked: Bool[Array, "first"],
    scores: Float[Array, "first Q"],
    count: int,
) -> tuple[Int[Array, "count"], Bool[Array, "count"]]:
    """Return an image's design of `count` channels that begins with those that are chosen, by what their scores say.

    A channel weighs as much as its score may move with its log-odds, for the class and pooling where that is most,
    times its strength.
    """

    def find_slopes(scores: Float[Array, "first"]) -> Float[Array, "C"]:
        slopes = predict(space, fit(space, chosen, asked, scores), scores, jnp.zeros(())).slopes
        largest = slopes.max()
        return jnp.where(largest > 0, slopes / jnp.where(largest > 0, largest, 1.0), 0.0)  # 0 for NaN

    weight = jax.vmap(find_slopes, 1)(scores).max(0) * space.strength
    return choose_channels(space, count, chosen, weight)


def weigh_few(scene: Scene, passes: float | int) -> Conversation:
    """Find all weights from those of `count_passes` channels of each image."""
    masks = Masks.of(scene)
    feature_map = scene.feature_map
    b, c = len(feature_map), feature_map.shape[-1]
    count = count_passes(passes, c)  # all, too, take this way: what was asked is kept
    spaces = measure_batch(feature_map, scene.size)

    def inquire(chosen: Int[Array, "B m"], asked: Bool[Array, "B m"], part: str = "first") -> Question:
        pairs = (chosen + c * jnp.arange(b)[:, None]).reshape(-1)
        return Question(
            key=("channels of a design", count, part),
            make=lambda i: masks.make(pairs[i]),
            count=len(pairs),
            share="image",
            of=lambda i: masks.image(pairs[i]),
            live=asked.reshape(-1),
        )

    first = count - count // 2
    chosen, asked = jax.vmap(lambda space: choose_channels(space, first))(spaces)
    black, scores = yield [masks.black(), inquire(chosen, asked)]
    scores, flat = scores.reshape(b, first, -1), black[0]  # [B m Q], [B Q]
    if first < count:
        arrays = spaces, chosen, asked, scores
        chosen, asked = lax.map(lambda some: choose_rest(some[0], some[1], some[2], some[3], count), arrays)
        (more,) = yield [inquire(chosen[:, first:], asked[:, first:], "rest")]
        scores = jnp.concatenate([scores, more.reshape(b, count - first, -1)], 1)
    found = lax.map(lambda arrays: estimate_image(*arrays), (feature_map, spaces, chosen, asked, scores, flat))
    return finish(feature_map, found, known_channels(spaces.live, chosen, asked))


def measure_batch(feature_map: Float[Array, "B h w C"], size: tuple[int, int]) -> MaskSpace:
    """Return each image's masks as points."""
    return jax.vmap(lambda channels: measure_masks(channels, size))(feature_map)


def known_channels(
    live: Bool[Array, "B C"], chosen: Int[Array, "B m"], asked: Bool[Array, "B m"]
) -> Bool[Array, "B C"]:
    """Return which weights are no estimates: of flat channels, and of those that were asked."""
    kept = jnp.where(asked, chosen, live.shape[1])
    return jax.vmap(lambda known, places: known.at[places].set(True, mode="drop"))(~live, kept)


def finish(
    feature_map: Float[Array, "B h w C"], found: tuple[Array, Array, Array, Array], known: Bool[Array, "B C"]
) -> Estimate:
    """Return what `estimate_image` found of each image, with what is certified and what it cost."""
    values, low, high, error = found
    live = feature_map.max((1, 2)) > feature_map.min((1, 2))
    whole = known.all(1)
    shape = error.shape
    return Estimate(
        values=values,
        low=low,
        high=high,
        error=jnp.where(whole[:, None], 0.0, error),
        bound=certify_estimate(feature_map, values, known),
        passes=jnp.broadcast_to((known & live).sum(1, keepdims=True).astype(jnp.float32), shape),
        left_out=jnp.broadcast_to((~known).mean(1, keepdims=True), shape),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rounds:
    """How far B images are."""

    values: Float[Array, "B C Q"]
    """In the order in which channels are asked."""
    count: Int[Array, "B"]
    """Channels of that order that were asked, or are flat."""
    found: tuple[Array, Array, Array, Array]
    """As `estimate_image` returns it."""
    done: Bool[Array, "B"]


def weigh_until(scene: Scene, error: float | int) -> Conversation:
    """Find all weights from those of as many channels as it takes until the stated errors are below `error`.

    A design of fewer channels is the beginning of one of more: each round asks for as many again as there are, of the
    images that are not done, and packs them into full chunks. An image whose error is larger still after `LARGEST` is
    asked for all channels.
    """
    masks = Masks.of(scene)
    feature_map = scene.feature_map
    b, c = len(feature_map), feature_map.shape[-1]
    largest, first = min(LARGEST, c), min(FIRST, c)
    spaces = measure_batch(feature_map, scene.size)
    chosen, in_design = jax.vmap(lambda space: choose_channels(space, largest))(spaces)
    kept = jnp.where(in_design, chosen, c)
    place = jnp.where(spaces.live, c, 2 * c)  # flat ones last
    place = jax.vmap(lambda place, own: place.at[own].set(jnp.arange(largest), mode="drop"))(place, kept)
    order = jnp.argsort(place, axis=1, stable=True)  # [B C]
    needed = spaces.live.sum(1)
    (black,) = yield [masks.black()]
    flat = black[0]  # [B Q]

    def estimate(rounds: Rounds) -> Rounds:
        asked = jnp.arange(largest)[None] < jnp.minimum(rounds.count, needed)[:, None]

        def one(arrays: tuple) -> tuple[Array, Array, Array, Array]:
            done, before, *others = arrays
            return lax.cond(done, lambda: before, lambda: estimate_image(*others))

        arrays = feature_map, spaces, order[:, :largest], asked, rounds.values[:, :largest], flat
        found = lax.map(one, (rounds.done, rounds.found, *arrays))
        done = rounds.done | (found[3] <= error).all(1) | (rounds.count >= needed)
        return replace(rounds, found=found, done=done)

    def run(ask: Ask, chunk: int) -> tuple[Estimate, Int[Array, "B"], Int[Array, "B"]]:
        chunk = min(chunk, b * c)

        def ask_some(state: tuple[Array, Array]) -> tuple[Array, Array]:
            values, missing = state
            places = jnp.flatnonzero(missing.reshape(-1), size=chunk, fill_value=b * c)
            asked = jnp.minimum(places, b * c - 1)
            image = asked // c
            pairs = order.reshape(-1)[asked] + c * image
            scores = ask(masks.make(pairs), image)
            values = values.reshape(b * c, -1).at[places].set(scores, mode="drop").reshape(values.shape)
            return values, missing.reshape(-1).at[places].set(False, mode="drop").reshape(b, c)

        def turn(rounds: Rounds) -> Rounds:
            more = jnp.where(rounds.count < largest, jnp.clip(2 * rounds.count, first, largest), c)
            count = jnp.where(rounds.done, rounds.count, jnp.minimum(more, needed))
            rank = jnp.arange(c)[None]
            missing = (rank >= rounds.count[:, None]) & (rank < count[:, None])
            values, _ = lax.while_loop(lambda state: state[1].any(), ask_some, (rounds.values, missing))
            return estimate(replace(rounds, values=values, count=count))

        h, w, q = *scene.grid, flat.shape[1]
        nothing = jnp.zeros((b, c, q)), jnp.zeros((b, h, w, q)), jnp.zeros((b, h, w, q)), jnp.full((b, q), jnp.inf)
        start = Rounds(jnp.zeros((b, c, q)), jnp.zeros(b, jnp.int32), nothing, jnp.zeros(b, bool))
        rounds = lax.while_loop(lambda rounds: ~rounds.done.all(), turn, start)
        values, low, high, stated = rounds.found
        known = spaces.live & (jnp.argsort(order, axis=1) < rounds.count[:, None])
        exact = jnp.take_along_axis(rounds.values, jnp.argsort(order, axis=1)[..., None], axis=1)
        values = jnp.where(known[..., None], exact, values)
        found = finish(feature_map, (values, low, high, stated), known | ~spaces.live)
        return found, known.sum(1), (~spaces.live).sum(1)

    (found,) = yield [Search(("design until", error), run, c)]
    return found


def describe_estimate(subject: Subject) -> Mapping[str, Float[Array, "B"]]:
    """Return what a map took, and how exact it is."""
    found: Estimate = subject.answers
    return {
        "score_cam_bound": found.bound,
        "score_cam_left_out": found.left_out,
        "score_cam_passes": found.passes,
        "score_cam_error": found.error,
    }


def remark_on_estimate(columns: Mapping[str, Float[np.ndarray, "n"]]) -> str:
    """Say how many passes the maps took, and what that costs in certainty."""
    passes, errors, bounds = (columns[f"score_cam_{name}"] for name in ("passes", "error", "bound"))
    certain = f"{100 * bounds.max():.3g} %" if np.isfinite(bounds.max()) else "—"
    return (
        f"from {passes.mean():.4g} masked images each, mean over images; the other weights, "
        f"{100 * columns['score_cam_left_out'].mean():.3g} % of them, are estimates: 19 of 20 maps are within "
        f"{errors.mean():.2g} of the exact one everywhere, mean over images, {errors.max():.2g} in the worst, as a "
        f"share of its range. Certain is less: {certain} of the maximum in the worst."
    )
