"""Grad-CAM++ (Chattopadhyay et al., 2018): one gradient of the head alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Head, Method, Subject, weighted_sum
from castream_jax.compute.masking import EPSILON


def grad_cam_pp_weights(
    head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]
) -> Float[Array, "B C"]:
    """Return `w_k = sum_ij alpha ReLU(g)`; arguments as for `grad_cam_weights`.

    `alpha = g^2 / (2 g^2 + g^3 sum_ij A^k + eps)`, 0 where g or the denominator is 0.

    Source: METHOD 2.
    """
    return weigh_gradient(gradient(head, feature_map, labels), feature_map)


def weigh_gradient(g: Float[Array, "B h w C"], feature_map: Float[Array, "B h w C"]) -> Float[Array, "B C"]:
    """Return the weights of a gradient that is known."""
    total = feature_map.astype(jnp.float32).sum((1, 2), keepdims=True)  # [B 1 1 C]
    denominator = 2 * g**2 + g**3 * total + EPSILON
    undefined = (g == 0) | (denominator == 0)
    alpha = jnp.where(undefined, 0.0, g**2 / jnp.where(undefined, 1.0, denominator))
    return (alpha * jax.nn.relu(g)).sum((1, 2))


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`."""
    return weighted_sum(subject.feature_map, grad_cam_pp_weights(subject.head, subject.feature_map, subject.labels))


GRAD_CAM_PP = Method(
    key="grad_cam_pp",
    name="Grad-CAM++",
    meaning="Channels weighted by the positive gradients, each position by how much of the class it explains.",
    formula="w_k = Σ_ij a^k_ij (∂y/∂A^k_ij)₊",
    source="Chattopadhyay et al., 2018",
    sums=sums,
)
