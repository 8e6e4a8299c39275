"""Opti-CAM (Zhang et al., 2024): the mixture of channels that, as a mask of the image, keeps the class's logit highest.

By CA-Stream's authors. Found by gradient ascent for each image, through the whole network.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject, weighted_sum
from castream_jax.compute.masking import mask_images, min_max, upsample
from castream_jax.errors import InputError

STEPS = 100
RATE = 0.1
START = 0.5
"""Of every channel: all weigh the same at first."""
DECAYS = 0.9, 0.999
EPSILON = 1e-8
"""Adam's, as its authors and torch have them."""

State = tuple[Array, Array, Array, Array, Array]
"""What is mixed [B C], Adam's two means of its gradient, the best mixture so far, and its logit [B]."""


@functools.lru_cache
def opti_cam(steps: int = STEPS) -> Method:
    """Return Opti-CAM as a method.

    Every image takes all steps, and keeps its best mixture: its map does not depend on the batch, as one that the
    authors' code stops by the batch's loss does.

    Args:
      steps: of Adam, each one forward and backward through the network.

    Raises:
      InputError: no steps.
    """
    if steps < 1:
        raise InputError(f"opti_cam_steps is {steps}: expected 1 or more.")

    def sums(subject: Subject) -> Float[Array, "B h w"]:
        """Return `sum_k softmax(u)_k ReLU(A^k)` of the best u."""
        network, scene = subject.whole, subject.scene
        channels = jax.nn.relu(subject.feature_map.astype(jnp.float32))

        def logits(u: Float[Array, "B C"]) -> Float[Array, "B"]:
            masks = min_max(upsample(weighted_sum(channels, jax.nn.softmax(u)), scene.size))
            seen = mask_images(scene.images, masks, scene.normalisation.mean, scene.normalisation.std)
            answers = network.head(network.features(seen))[0]
            return jnp.take_along_axis(answers, subject.labels[:, None], axis=1)[:, 0].astype(jnp.float32)

        def step(state: State, count: Array) -> tuple[State, None]:
            u, first, second, best, highest = state
            y, pull_back = jax.vjp(logits, u)
            (g,) = pull_back(jnp.ones_like(y))
            better = y > highest
            best, highest = jnp.where(better[:, None], u, best), jnp.maximum(y, highest)
            first, second = (d * mean + (1 - d) * p for d, mean, p in zip(DECAYS, (first, second), (g, g**2)))
            mean, square = (m / (1 - d ** (count + 1)) for d, m in zip(DECAYS, (first, second)))
            return (u + RATE * mean / (jnp.sqrt(square) + EPSILON), first, second, best, highest), None

        start = jnp.full((len(channels), channels.shape[-1]), START)
        nothing = jnp.zeros_like(start)
        state = start, nothing, nothing, start, jnp.full(len(channels), -jnp.inf)
        (_, _, _, best, _), _ = lax.scan(step, state, jnp.arange(steps, dtype=jnp.float32))
        return weighted_sum(channels, jax.nn.softmax(best))

    return Method(
        key="opti_cam",
        name="Opti-CAM",
        meaning=f"The channels mixed to keep the class's logit highest, in {steps} steps that run through the trunk.",
        formula="argmax_u y(x ⊙ S(u)), S = Σ_k softmax(u)_k (A^k)₊",
        source="Zhang et al., 2024",
        through_trunk=steps,
        options={"steps": steps, "rate": RATE, "start": START, "optimiser": "adam", "kept": "best of each image"},
        sums=sums,
        configure=opti_cam,
    )


OPTI_CAM = opti_cam()
