"""SmoothGrad (Smilkov et al., 2017): the gradient at the image, averaged over noise that is added to it."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.image_gradient import mean_gradient
from castream_jax.attribution.method import Method, Subject
from castream_jax.errors import InputError

SAMPLES = 50
SPREAD = 0.15
"""The noise's standard deviation, of the range 0..1 of pixels; the paper finds 0.1 to 0.2 best."""
SEED = 0


@functools.lru_cache
def smooth_grad(samples: int = SAMPLES) -> Method:
    """Return SmoothGrad as a method.

    Args:
      samples: noisy images of each image. Their noise is the same for all images, classes and poolings.

    Raises:
      InputError: no samples.
    """
    if samples < 1:
        raise InputError(f"smooth_grad_samples is {samples}: expected 1 or more.")

    def sums(subject: Subject) -> Float[Array, "B H W"]:
        """Return `sum_c |mean_n dy/dx(x + noise_n)|` over colours."""
        images, std = subject.scene.images, jnp.asarray(subject.scene.normalisation.std).reshape(1, 1, 1, -1)

        def with_noise(sample: Int[Array, ""]) -> Float[Array, "B H W c"]:
            noise = jax.random.normal(jax.random.fold_in(jax.random.key(SEED), sample), images.shape[1:])[None]
            return images + SPREAD * noise / std

        return jnp.abs(mean_gradient(subject, samples, with_noise)).sum(-1)

    return Method(
        key="smooth_grad",
        name="SmoothGrad",
        meaning=f"How much each pixel moves the logit, over {samples} noisy images. Gradients run through the trunk.",
        formula="Σ_colours |mean_n ∂y/∂x(x + ε_n)|",
        source="Smilkov et al., 2017",
        through_trunk=samples,
        options={"samples": samples, "spread": SPREAD, "seed": SEED, "magnitude": "of the mean"},
        sums=sums,
        configure=smooth_grad,
    )


SMOOTH_GRAD = smooth_grad()
