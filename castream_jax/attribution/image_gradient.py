"""The gradient of a class's logit with respect to images, through the whole network, and its mean over changed ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Subject

TOGETHER = 10
"""Changed images that go through the trunk at once where a batch has fewer: one alone leaves most of a device idle."""


def image_gradient(subject: Subject, images: Float[Array, "n H W c"], of: Int[Array, "n"]) -> Float[Array, "n H W c"]:
    """Return the gradient of the class's logit with respect to normalised images, through the whole network.

    Args:
      subject: whose network and classes.
      images: any number.
      of: the image of the batch whose class each has.
    """
    network = subject.whole
    return gradient(lambda seen: network.head(network.features(seen))[0], images, subject.labels[of])


def mean_gradient(
    subject: Subject, count: int, change: Callable[[Int[Array, ""]], Float[Array, "B H W c"]]
) -> Float[Array, "B H W c"]:
    """Return the mean of the gradients at `change(0)` to `change(count - 1)`, each of them all images of the batch."""
    images = subject.scene.images
    rounds = -(-count // max(1, TOGETHER // len(images)))
    group = -(-count // rounds)
    of = jnp.tile(jnp.arange(len(images)), group)

    def add(total: Array, first: Array) -> tuple[Array, None]:
        numbers = first + jnp.arange(group)
        changed = jax.vmap(change)(numbers).reshape(-1, *images.shape[1:])
        found = image_gradient(subject, changed, of).reshape(group, *images.shape)
        counts = (numbers < count).reshape(-1, 1, 1, 1, 1)
        return total + jnp.where(counts, found, 0).sum(0), None

    total, _ = lax.scan(add, jnp.zeros_like(images), group * jnp.arange(rounds))
    return total / count
