"""Blurred away: the most salient pixels are blurred, so that no colour that the image lacks gives them away."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.insertion import blur
from castream_jax.metrics.metric import Case, Metric

SHARES, SIDE = (0.1, 0.2, 0.3, 0.4, 0.5), 5


def blur_away(images: Float[Array, "n H W C"], removed: Bool[Array, "n H W"]) -> Float[Array, "n H W C"]:
    """Replace removed pixels by the mean of the pixels around them."""
    box = jnp.ones((SIDE, SIDE))
    means = blur(images, box) / blur(jnp.ones_like(images[:1]), box)  # fewer at the border
    return jnp.where(removed[..., None], means, images)


def measure(case: Case) -> Conversation:
    """Return the mean probability after some shares of the pixels are blurred."""
    ranks = case.ranks  # [J H W]
    maps, points, shares = len(ranks), len(SHARES), jnp.asarray(SHARES)

    def make(i: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        job, most = i // points, shares[i % points] * ranks[0].size
        return blur_away(case.images[case.of[job]], ranks[job] < most[:, None, None])

    question = Question(("blurred away",), make, maps * points, "map", lambda i: case.of[i // points])
    (found,) = yield [question]  # [J * points, Q]
    return {"blurred_away": found.reshape(maps, points, -1).mean(1)}


BLURRED_AWAY = Metric(
    symbol="BA",
    column="blurred_away",
    name="Blurred away",
    lower_is_better=True,
    meaning="The mean class probability after the most salient pixels are blurred.",
    choices=("ties",),
    options={"shares": SHARES, "side": SIDE},
    measure=measure,
)
