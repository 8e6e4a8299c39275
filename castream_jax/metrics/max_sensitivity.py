"""Max-sensitivity (Yeh et al., 2019): how much a map changes when nothing that one could see does."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.metric import NOISE, Case, Metric

RADIUS = 2 / 255
"""Of the noise, in pixels of 0..1, each way: it is the same whatever a network is normalised by."""
TURNS = 10
SEED = 0


def measure(case: Case) -> Conversation:
    """Measure it; the noisy images serve all maps of an image."""
    indices = jnp.arange(len(case.images)) if case.indices is None else case.indices
    std = jnp.asarray(case.normalisation.std).reshape(1, 1, 1, -1)
    key = jax.random.key(SEED)

    def make(turn: Int[Array, ""], places: Int[Array, "B"]) -> Float[Array, "B H W C"]:
        def draw(index: Int[Array, ""]) -> Float[Array, "H W C"]:
            own = jax.random.fold_in(jax.random.fold_in(key, index), turn)
            return jax.random.uniform(own, case.images.shape[1:], minval=-RADIUS, maxval=RADIUS)

        return case.images[places] + jax.vmap(draw)(indices[places]) / std

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        before = case.saliency[jobs]
        size = jnp.sqrt((before**2).sum((1, 2)))
        return jnp.sqrt(((made.maps - before) ** 2).sum((1, 2))) / jnp.where(size == 0, 1, size)

    (changes,) = yield [Again("max-sensitivity", judge, make, TURNS, "image")]
    unknown = jnp.isnan(changes).any(0)
    return {"max_sensitivity": jnp.where(unknown, jnp.nan, changes.max(0))}


MAX_SENSITIVITY = Metric(
    symbol="Sens",
    column="max_sensitivity",
    name="Max-sensitivity",
    lower_is_better=True,
    meaning=(
        "The largest change of the map under noise that nobody sees, as a share of the map: of ten draws, each pixel "
        "moved by up to 2/255. It may be above 1; a map that does not look at the image has 0."
    ),
    formula="max over δ of ‖S(x + δ) \N{MINUS SIGN} S(x)‖ / ‖S(x)‖",
    source="Yeh et al., 2019",
    question=NOISE,
    options={"radius": "2/255", "draws": TURNS, "seed": SEED},
    needs_method=True,
    by_default=False,
    measure=measure,
)
