"""Cascading randomisation by structural similarity (Adebayo et al., 2018): whether the map looks the same."""

from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.cascading_randomisation import mean_over_parts
from castream_jax.metrics.metric import WEIGHTS, Case, Metric
from castream_jax.metrics.similarity import WINDOW, structural_similarity
from castream_jax.models.cascade import SEED


def measure(case: Case) -> Conversation:
    """Measure it; one pass of the image for each part of the network serves all maps."""

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        return structural_similarity(case.saliency[jobs], made.maps)

    (found,) = yield [Again("cascade, as pictures", judge, networks="cascade")]
    return {"cascade_similarity": mean_over_parts(found)}


CASCADING_SIMILARITY = Metric(
    symbol="SSIM",
    column="cascade_similarity",
    name="Cascading randomisation, structural similarity",
    lower_is_better=True,
    meaning="As MPRT, but of the maps as pictures: how alike 7x7 pixels are, on average. Maps that are equal have 1.",
    formula="mean over parts l of SSIM(S, S with all down to l drawn again)",
    source="Adebayo et al., 2018; Wang et al., 2004",
    question=WEIGHTS,
    options={"seed": SEED, "similarity": "SSIM", "window": WINDOW},
    needs_method=True,
    needs_fresh=True,
    by_default=False,
    measure=measure,
)
