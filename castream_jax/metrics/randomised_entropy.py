"""Randomisation by entropy (Hedström et al., 2024): whether a network that knows nothing gives a map of more kinds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.metric import WEIGHTS, Case, Metric
from castream_jax.models.cascade import SEED

BINS = 100


def histogram_entropy(values: Float[Array, "B n"]) -> Float[Array, "B"]:
    """Return the entropy of each list's histogram, in nats: 100 even bins from its least value to its largest."""
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    width = jnp.where(high > low, high - low, 1)
    bins = jnp.clip(jnp.floor((values - low) / width * BINS), 0, BINS - 1).astype(jnp.int32)
    counts = jax.vmap(lambda own: jnp.zeros(BINS).at[own].add(1))(bins)
    return jax.scipy.special.entr(counts / values.shape[1]).sum(1)


def measure(case: Case) -> Conversation:
    """Measure it; two passes of the image serve all maps."""

    def judge(made: Made, _: Int[Array, "B"]) -> Float[Array, "B"]:
        return histogram_entropy(made.sums.reshape(len(made.sums), -1))

    (found,) = yield [Again("entropy of a fresh network", judge, networks="ends of the cascade")]
    own, fresh = found
    rise = (fresh - own) / jnp.where(own > 0, own, 1)
    return {"randomised_entropy": jnp.where(own > 0, rise, own * 0)}  # a flat map has none; NaN stays


RANDOMISED_ENTROPY = Metric(
    symbol="eMPRT",
    column="randomised_entropy",
    name="Entropy under randomisation",
    lower_is_better=False,
    meaning=(
        "By what share the entropy of the map's values, before ReLU and min-max, rises when all weights of the network "
        "are drawn again: the map of a network that knows something is the more orderly. 0 for a flat map."
    ),
    formula="(H(s of a fresh network) \N{MINUS SIGN} H(s)) / H(s), H of a histogram of 100 bins",
    source="Hedström et al., 2024",
    question=WEIGHTS,
    options={"seed": SEED, "bins": BINS},
    needs_method=True,
    needs_fresh=True,
    by_default=False,
    measure=measure,
)
