"""Finer-CAM (Zhang et al., 2025): Grad-CAM of what tells a class from those that look most like it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Subject, weighted_sum

GAMMA = 0.6
"""How much of the similar classes' evidence is taken away."""
SIMILAR = 3
"""Classes that it is told from."""


def contrast(logits: Float[Array, "B K"], labels: Int[Array, "B"]) -> Float[Array, "B K"]:
    """Return the weights of the logits: 1 of the class, less `GAMMA` shared by those nearest to its."""
    k = logits.shape[-1]
    own = jax.nn.one_hot(labels, k, dtype=jnp.float32)
    count = min(SIMILAR, k - 1)
    if not count:
        return own
    y = jnp.take_along_axis(logits, labels[:, None], axis=1)
    distance = jnp.where(own > 0, jnp.inf, jnp.abs(logits - y))
    nearest = jnp.argsort(distance, axis=1)[:, :count]
    return own - GAMMA * jax.nn.one_hot(nearest, k, dtype=jnp.float32).mean(1)


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k` with Grad-CAM's weights of `y_c - gamma mean_d y_d`."""
    logits, pull_back = jax.vjp(subject.head, subject.feature_map)
    (g,) = pull_back(contrast(logits, subject.labels).astype(logits.dtype))
    return weighted_sum(subject.feature_map, g.astype(jnp.float32).mean((1, 2)))


FINER_CAM = Method(
    key="finer_cam",
    name="Finer-CAM",
    meaning="Grad-CAM of the class's logit less a share of those of the three classes that are nearest to it.",
    formula="w_k = mean_ij ∂(y_c - 0.6 mean_d y_d)/∂A^k_ij",
    source="Zhang et al., 2025",
    options={"gamma": GAMMA, "similar classes": SIMILAR, "weights": "grad_cam"},
    sums=sums,
)
