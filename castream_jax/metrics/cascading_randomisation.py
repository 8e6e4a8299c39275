"""Cascading randomisation (Adebayo et al., 2018): whether the map stays the same when the network forgets."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.correlation import rank_correlation
from castream_jax.metrics.metric import WEIGHTS, Case, Metric
from castream_jax.models.cascade import SEED

SIDE = 56
"""Positions of a map that are ranked, each way, at most: it is interpolated between fewer."""


def thin_out(maps: Float[Array, "B H W"]) -> Float[Array, "B n"]:
    """Return the values at evenly spaced pixels, at most 56 each way."""
    down, right = (-(-length // SIDE) for length in maps.shape[1:])
    return maps[:, ::down, ::right].reshape(len(maps), -1)


def mean_over_parts(found: Float[Array, "turns J"]) -> Float[Array, "J"]:
    """Return the mean over the parts that are drawn again, all turns but the first."""
    return found[1:].mean(0)


def measure(case: Case) -> Conversation:
    """Measure it; one pass of the image for each part of the network serves all maps."""

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        first, second = thin_out(case.saliency[jobs]), thin_out(made.maps)
        same = (first == second).all(1)
        return jnp.where(same, 1, rank_correlation(first, second))

    (found,) = yield [Again("cascade", judge, networks="cascade")]
    return {
        "cascade": mean_over_parts(found),
        "cascade_classifier": found[1],
        "cascade_whole": jax.lax.index_in_dim(found, -1, keepdims=False),
    }


CASCADING_RANDOMISATION = Metric(
    symbol="MPRT",
    column="cascade",
    name="Cascading randomisation",
    lower_is_better=True,
    meaning=(
        "The rank correlation of the map with that of the same network whose weights are drawn again from the "
        "classifier down, mean over the parts where that stops: classifier, each block of the stream, each stage of "
        "the trunk, stem. Where a pooling has nothing of a part, its map stays as it was. A map that does not depend "
        "on what was learned has 1."
    ),
    formula="mean over parts l of Spearman(S, S with all down to l drawn again)",
    source="Adebayo et al., 2018",
    question=WEIGHTS,
    columns=("cascade_classifier", "cascade_whole"),
    options={"seed": SEED, "similarity": "Spearman", "positions": SIDE},
    needs_method=True,
    needs_fresh=True,
    by_default=False,
    measure=measure,
)
