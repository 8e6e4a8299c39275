"""Coherency (Poppi et al., 2021): whether the map of what a map keeps is the same map."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.masking import mask_images
from castream_jax.compute.questions import Again, Conversation, Made
from castream_jax.metrics.correlation import is_flat, pearson
from castream_jax.metrics.metric import NEEDS, Case, Metric


def find_coherency(case: Case) -> Conversation:
    """Find it, [J]."""
    mean, std = case.normalisation.mean, case.normalisation.std

    def make(_: Int[Array, ""], jobs: Int[Array, "B"]) -> Float[Array, "B H W C"]:
        return mask_images(case.images[case.of[jobs]], case.saliency[jobs], mean, std)

    def judge(made: Made, jobs: Int[Array, "B"]) -> Float[Array, "B"]:
        first, second = (values.reshape(len(values), -1) for values in (case.saliency[jobs], made.maps))
        return jnp.where(is_flat(first) | is_flat(second), 0, (pearson(first, second) + 1) / 2)

    ((found,),) = yield [Again("coherency", judge, make)]
    return found


def measure(case: Case) -> Conversation:
    """Measure it."""
    return {"coherency": (yield from find_coherency(case))}


COHERENCY = Metric(
    symbol="Coh",
    column="coherency",
    name="Coherency",
    lower_is_better=False,
    meaning=(
        "The correlation, from 0 to 1, of the map with that of the same method and class on the image that is "
        "multiplied by it. 0 where one of them is flat."
    ),
    formula="(Pearson(S(x), S(x ⊙ S(x))) + 1) / 2",
    source="Poppi et al., 2021",
    question=NEEDS,
    needs_method=True,
    by_default=False,
    measure=measure,
)
