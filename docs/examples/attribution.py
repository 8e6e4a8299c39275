"""XGrad-CAM (Fu et al., 2020): gradients count where a channel is active."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import castream_jax as ca
from castream_jax.attribution.gradient import Head, gradient, weighted_map
from castream_jax.evaluation.maps import head_from


def xgrad_cam_weights(
    head: Head,
    feature_map: Float[Array, "B h w C"],
    labels: Int[Array, "B"],
) -> Float[Array, "B C"]:
    """Return `w_k = sum_ij g^k_ij A^k_ij / sum_ij A^k_ij`, 0 where A sums to 0."""
    a = feature_map.astype(jnp.float32)
    total = a.sum((1, 2))  # [B C]
    weights = (a * gradient(head, feature_map, labels)).sum((1, 2))  # [B C]
    return jnp.where(total == 0, 0.0, weights / jnp.where(total == 0, 1.0, total))


def xgrad_cam(
    model: ca.Classifier,
    images: Float[Array, "B H W 3"],
    labels: Int[Array, "B"],
) -> Float[Array, "B h w"]:
    """Return XGrad-CAM maps in [0, 1] of a model."""
    features = model.features(images)
    target = model.target(None)  # the paper's feature map
    head = head_from(model, features, target)
    weights = xgrad_cam_weights(head, features[target], labels)
    return weighted_map(features[target], weights)
