"""Remove and debias, ROAD (Rong et al., 2022): pixels are filled in from around them, so that no hole shows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Conversation, Question
from castream_jax.compute.together import together
from castream_jax.metrics.curves import Order, area, least_first, most_first
from castream_jax.metrics.imputation import STEPS, impute
from castream_jax.metrics.metric import Case, Metric

TENTHS = tuple(range(1, 10))
"""Of the pixels, which are filled in."""
NOISE = 0.01
"""Its standard deviation, of the range of pixels: what is filled in is not smoother than a picture."""
SEED = 0
OPTIONS = {"tenths": TENTHS, "noise": NOISE, "seed": SEED, "steps": STEPS}


def fill_in(case: Case, order: Order) -> Conversation:
    """Find the probability after each of `TENTHS` of the pixels, the first in an order, are filled in, [J Q tenths].

    They are filled in as pixels in 0..1 and normalised then. The noise is the same for all images.
    """
    orders, points, size = len(order.ranks), len(TENTHS), order.ranks[0].size
    counts = jnp.asarray([round(size * tenth / 10) for tenth in TENTHS])
    mean, std = (
        jnp.asarray(values).reshape(1, 1, 1, -1) for values in (case.normalisation.mean, case.normalisation.std)
    )
    noise = NOISE * jax.random.normal(jax.random.key(SEED), case.images.shape[1:])[None]

    def make(index: Int[Array, "n"]) -> Float[Array, "n H W C"]:
        job = index // points
        missing = order.ranks[job] < counts[index % points][:, None, None]
        images = case.images[order.of[job]]
        filled = (impute(images * std + mean, missing) + noise - mean) / std
        return jnp.where(missing[..., None], filled, images)

    key = "filled in", order.key
    (found,) = yield [Question(key, make, orders * points, order.share, lambda index: order.of[index // points])]
    return found.reshape(orders, points, -1).swapaxes(1, 2)


def measure_area(case: Case, name: str, order: Order) -> Conversation:
    """Measure the area under one order's curve, from the whole image on, and keep the curve."""
    found = yield from fill_in(case, order)
    curve = jnp.concatenate([case.p[..., None], found], -1)
    return {name: area(curve), f"{name}_curve": curve}


def measure(case: Case) -> Conversation:
    """Measure it."""
    least, most = yield from together(fill_in(case, least_first(case)), fill_in(case, most_first(case)))
    return {"road": (least - most).mean(-1)}


ROAD = Metric(
    symbol="ROAD",
    column="road",
    name="Remove and debias",
    lower_is_better=False,
    meaning=(
        "The class probability after the least salient pixels are filled in from their neighbours, minus that after "
        "the most salient are, mean over tenths of the pixels. Below 0, the map is worse than its reverse."
    ),
    formula="mean over f = 0.1 … 0.9 of p(least salient f filled in) \N{MINUS SIGN} p(most salient f filled in)",
    source="Rong et al., 2022",
    choices=("ties",),
    options=OPTIONS,
    by_default=False,
    measure=measure,
)
