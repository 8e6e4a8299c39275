"""Gradient times input (Shrikumar et al., 2016): the logit's first-order change towards the mean image.

Its gradient runs through the trunk, as those of integrated gradients and SmoothGrad do.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.image_gradient import image_gradient
from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B H W"]:
    """Return `sum_c x dy/dx` over colours; x is normalised, and 0 in the mean colour."""
    images = subject.scene.images
    return (images * image_gradient(subject, images, jnp.arange(len(images)))).sum(-1)


GRADIENT_INPUT = Method(
    key="gradient_input",
    name="Gradient x input",
    meaning="Each pixel times the logit's gradient there. The gradient runs through the trunk.",
    formula="Σ_colours x ∂y/∂x",
    source="Shrikumar et al., 2016",
    through_trunk=1,
    options={"x": "normalised"},
    sums=sums,
)
