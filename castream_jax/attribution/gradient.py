"""Grad-CAM (Selvaraju et al., 2017) and Grad-CAM++ (Chattopadhyay et al., 2018): one gradient of the head alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.masking import EPSILON, min_max

Head = Callable[[Float[Array, "B h w C"]], Float[Array, "B K"]]


def gradient(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B h w C"]:
    """Return the gradient of each image's logit of its label with respect to its feature map."""
    logits, pull_back = jax.vjp(head, feature_map)
    (g,) = pull_back(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype))
    return g.astype(jnp.float32)


def grad_cam(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B h w"]:
    """Return Grad-CAM maps in [0, 1]: `ReLU(sum_k w_k A^k)`, min-max scaled.

    Args:
      head: from the feature map to logits; the only part that is differentiated.
      feature_map: the target activation A.
      labels: the class c of each image, 0 to K - 1.

    Source: METHOD 2.
    """
    return weighted_map(feature_map, grad_cam_weights(head, feature_map, labels))


def grad_cam_weights(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B C"]:
    """Return `w_k = mean_ij dy_c/dA^k_ij`; arguments as for `grad_cam`."""
    return gradient(head, feature_map, labels).mean((1, 2))


def grad_cam_pp(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B h w"]:
    """Return Grad-CAM++ maps in [0, 1]; arguments as for `grad_cam`. Source: METHOD 2."""
    return weighted_map(feature_map, grad_cam_pp_weights(head, feature_map, labels))


def grad_cam_pp_weights(
    head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]
) -> Float[Array, "B C"]:
    """Return `w_k = sum_ij alpha ReLU(g)`; arguments as for `grad_cam`.

    `alpha = g^2 / (2 g^2 + g^3 sum_ij A^k + eps)`, 0 where g or the denominator is 0.
    """
    g = gradient(head, feature_map, labels)
    total = feature_map.astype(jnp.float32).sum((1, 2), keepdims=True)  # [B 1 1 C]
    denominator = 2 * g**2 + g**3 * total + EPSILON
    undefined = (g == 0) | (denominator == 0)
    alpha = jnp.where(undefined, 0.0, g**2 / jnp.where(undefined, 1.0, denominator))
    return (alpha * jax.nn.relu(g)).sum((1, 2))


def weighted_map(feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C"]) -> Float[Array, "B h w"]:
    """Return `ReLU(sum_k w_k A^k)`, min-max scaled: how every CAM ends."""
    return min_max(jax.nn.relu(weighted_sum(feature_map, weights)))


def weighted_sum(feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C"]) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`."""
    return jnp.einsum("bhwc,bc->bhw", feature_map.astype(jnp.float32), weights, precision=jax.lax.Precision.HIGHEST)
