"""Integrated gradients (Sundararajan et al., 2017): the gradient's mean on the way from a black image to the image."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.image_gradient import mean_gradient
from castream_jax.attribution.method import Method, Subject
from castream_jax.compute.masking import mask_images
from castream_jax.errors import InputError

STEPS = 50


@functools.lru_cache
def integrated_gradients(steps: int = STEPS) -> Method:
    """Return integrated gradients as a method.

    Args:
      steps: at the middle of as many equal parts of the way; 20 to 300 in the paper.

    Raises:
      InputError: no steps.
    """
    if steps < 1:
        raise InputError(f"integrated_gradients_steps is {steps}: expected 1 or more.")

    def sums(subject: Subject) -> Float[Array, "B H W"]:
        """Return `sum_c (x - x0) mean_t dy/dx` over colours; the map adds up to about `y(x) - y(x0)`."""
        images, normalisation = subject.scene.images, subject.scene.normalisation
        black = mask_images(images, jnp.zeros(images.shape[:3]), normalisation.mean, normalisation.std)

        def on_the_way(step: Int[Array, ""]) -> Float[Array, "B H W c"]:
            return black + (step.astype(jnp.float32) + 0.5) / steps * (images - black)

        return ((images - black) * mean_gradient(subject, steps, on_the_way)).sum(-1)

    return Method(
        key="integrated_gradients",
        name="Integrated gradients",
        meaning=f"What each pixel adds from black to its colour, in {steps} gradients that run through the trunk.",
        formula="Σ_colours (x - x₀) ∫ ∂y/∂x dt",
        source="Sundararajan et al., 2017",
        through_trunk=steps,
        options={"steps": steps, "baseline": "black", "rule": "midpoint"},
        sums=sums,
        configure=integrated_gradients,
    )


INTEGRATED_GRADIENTS = integrated_gradients()
