"""RefineCAM (2026): the maps of several stages multiplied, so that a position counts where all of them see it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.grad_cam_pp import weigh_gradient
from castream_jax.attribution.method import Method, Subject, weighted_sum
from castream_jax.attribution.stages import list_stages, stage_gradients
from castream_jax.compute.masking import min_max, upsample


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return the product of the stages' Grad-CAM++ maps, each min-max scaled, on the finest grid.

    The stages are the target and those before it, the last feature map of each finer grid.
    """
    found = stage_gradients(subject, list_stages(subject))
    maps = [min_max(jax.nn.relu(weighted_sum(a, weigh_gradient(g, a)))) for g, a in found]
    finest = maps[-1].shape[1], maps[-1].shape[2]
    return jnp.stack([upsample(m, finest) for m in maps]).prod(0)


REFINE_CAM = Method(
    key="refine_cam",
    name="RefineCAM",
    meaning="The product of Grad-CAM++ at every stage: fine where the early ones are, and where the last one agrees.",
    formula="Π_l S_l",
    source="How to evaluate and refine your CAM, 2026",
    through_trunk=1,
    options={"base": "grad_cam_pp", "stages": "all", "mix": "product"},
    sums=sums,
)
