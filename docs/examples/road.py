"""ROAD (Rong et al., 2022): the most salient pixels are filled in from around them, so that no edge gives them away."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from castream_jax.compute.questions import Conversation, Question
from castream_jax.metrics.insertion import blur
from castream_jax.metrics.metric import Case, Metric

SHARES, STEPS, NOISE = (0.1, 0.2, 0.3, 0.4, 0.5), 64, 0.01


def fill_in(images: Float[Array, "n H W C"], removed: Bool[Array, "n H W"]) -> Float[Array, "n H W C"]:
    """Move removed pixels towards the weighted mean of their neighbours, and add the same noise to all of them."""
    kernel = jnp.outer(jnp.asarray([1.0, 2, 1]), jnp.asarray([1.0, 2, 1])) / 16
    weight = blur(jnp.ones_like(images[:1]), kernel)  # less at the border
    hole = removed[..., None]

    def step(_: Array, filled: Array) -> Array:
        return jnp.where(hole, blur(filled, kernel) / weight, images)

    filled = lax.fori_loop(0, STEPS, step, jnp.where(hole, 0, images))
    return filled + hole * NOISE * jax.random.normal(jax.random.key(0), images.shape[1:])[None]


def measure(case: Case) -> Conversation:
    """Return the mean probability after some shares of the pixels are filled in."""
    ranks = case.ranks  # [J H W]
    maps, points, shares = len(ranks), len(SHARES), jnp.asarray(SHARES)

    def make(i: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        job, most = i // points, shares[i % points] * ranks[0].size
        return fill_in(case.images[case.of[job]], ranks[job] < most[:, None, None])

    question = Question(("road",), make, maps * points, "map", lambda i: case.of[i // points])
    (found,) = yield [question]  # [J * points, Q]
    return {"road": found.reshape(maps, points, -1).mean(1)}


ROAD = Metric(
    symbol="ROAD",
    column="road",
    name="Remove and debias",
    lower_is_better=True,
    meaning="The mean class probability after the most salient pixels are filled in from their neighbours.",
    source="Rong et al., 2022",
    choices=("ties",),
    options={"shares": SHARES, "steps": STEPS, "noise": NOISE},
    measure=measure,
)
