"""The class probability while pixels change by rank, and the area under it (Petsiuk et al., 2018)."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.metric import Case

SEED = 0
"""Of random orders."""


@dataclass(frozen=True)
class End:
    """Where a curve begins or ends."""

    images: Float[Array, "_ H W C"]
    """Of each image of the batch, or one for all of them."""
    key: Hashable = None
    """Of the question that asks for its probabilities; None: it is the image itself, whose are known."""
    is_shared: bool = False
    """There is one for all images."""

    def question(self) -> list[Question]:
        """Return what must be asked to know the probabilities at this end."""
        if self.key is None:
            return []
        share: Literal["batch", "image"] = "batch" if self.is_shared else "image"
        return [Question(self.key, lambda i: self.images[i], len(self.images), share, lambda i: i)]

    def at(self, of: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        """Return it for some images of the batch."""
        return self.images[jnp.zeros_like(of) if self.is_shared else of]


def erased(case: Case) -> End:
    """Return what deletion leaves of every image: one colour."""
    colour = "black" if case.protocol.deletion_end == "black" else "mean"
    return End(case.blank(colour), ("blank", colour), is_shared=True)


@dataclass(frozen=True)
class Order:
    """In what order pixels change."""

    key: str
    ranks: Int[Array, "J H W"]
    """Each pixel's place."""
    of: Int[Array, "J"]
    """The image that each order is for."""
    share: Literal["map", "image"] = "map"
    """Each map has its own, or each image whatever its maps."""


def most_first(case: Case) -> Order:
    """Return the most salient pixels first."""
    return Order("most first", case.ranks, case.of)


def least_first(case: Case) -> Order:
    """Return the reverse of `most_first`, ties too."""
    return Order("least first", case.ranks[0].size - 1 - case.ranks, case.of)


def at_random(case: Case) -> Order:
    """Return an order for each image that depends on its place in the dataset, and not on maps."""
    images = jnp.arange(len(case.images))
    indices = images if case.indices is None else case.indices
    key, size = jax.random.key(SEED), case.saliency[0].shape

    def draw(index: Int[Array, ""]) -> Int[Array, "H W"]:
        return jax.random.permutation(jax.random.fold_in(key, index), size[0] * size[1]).reshape(size)

    return Order("at random", jax.vmap(draw)(indices), images, "image")


def change_pixels(case: Case, name: str, before: End, after: End) -> Conversation:
    """Find the probability while pixels change from `before` to `after`, the most salient first, and its area.

    Returns:
      Columns: `<name>` [J Q], and `<name>_curve` [J Q points].

    Source: METHOD 3.
    """
    curve = yield from trace_curve(case, most_first(case), before, after)
    return {name: measure_area(case, curve), f"{name}_curve": curve}


def trace_curve(case: Case, order: Order, before: End, after: End) -> Conversation:
    """Find the probability while pixels change from `before` to `after` in an order, [J Q points].

    The steps are the protocol's; the last one may be short. There are `ceil(H W / step) + 1` points.

    Source: METHOD 3.
    """
    orders, height, width = order.ranks.shape
    step = case.protocol.step(width)
    inner = -(-height * width // step) - 1  # points strictly between the two ends

    def make(index: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        job, point = index // inner, index % inner + 1
        changed = order.ranks[job] < (point * step)[:, None, None]  # [n H W]
        of = order.of[job]
        return jnp.where(changed[..., None], after.at(of), before.at(of))

    questions = [*before.question(), *after.question()]
    if inner:
        key = order.key, before.key, after.key, step
        questions.append(Question(key, make, orders * inner, order.share, lambda index: order.of[index // inner]))
    answers = list((yield questions))
    ends = []
    for end in (before, after):
        found = case.probability if end.key is None else answers.pop(0)  # [B Q], or [1 B Q] where one serves all
        ends.append(found.reshape(case.probability.shape)[order.of][..., None])  # [J Q 1]
    parts = [ends[0], ends[1]]
    if inner:
        parts.insert(1, answers.pop(0).reshape(orders, inner, -1).swapaxes(1, 2))  # [J Q inner]
    return jnp.concatenate(parts, axis=-1)


def measure_area(case: Case, curves: Float[Array, "J Q points"]) -> Float[Array, "J Q"]:
    """Return the areas under curves of `trace_curve`, over what the protocol says."""
    if case.protocol.area_over == "points":
        return area(curves)
    pixels, step = case.saliency[0].size, case.protocol.step(case.saliency.shape[2])
    places = np.minimum(np.arange(curves.shape[-1]) * step, pixels) / pixels
    widths = jnp.asarray(np.diff(places), curves.dtype).reshape(1, 1, -1)
    return ((curves[..., 1:] + curves[..., :-1]) / 2 * widths).sum(-1)


def area(curves: Float[Array, "*J points"]) -> Float[Array, "*J"]:
    """Return the normalised trapezoid area, `(sum - first/2 - last/2) / (points - 1)` (METHOD 3)."""
    return (curves.sum(-1) - curves[..., 0] / 2 - curves[..., -1] / 2) / (curves.shape[-1] - 1)
