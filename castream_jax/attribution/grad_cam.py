"""Grad-CAM (Selvaraju et al., 2017): one gradient of the head alone."""

from jaxtyping import Array, Float, Int

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Head, Method, Subject, weighted_sum


def grad_cam_weights(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B C"]:
    """Return `w_k = mean_ij dy_c/dA^k_ij`.

    Args:
      head: from the feature map to logits.
      feature_map: the target activation A.
      labels: the class c of each image, 0 to K - 1.

    Source: METHOD 2.
    """
    return gradient(head, feature_map, labels).mean((1, 2))


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`."""
    return weighted_sum(subject.feature_map, grad_cam_weights(subject.head, subject.feature_map, subject.labels))


GRAD_CAM = Method(
    key="grad_cam",
    name="Grad-CAM",
    meaning="Channels weighted by the mean gradient of the class's logit.",
    formula="w_k = mean_ij ∂y/∂A^k_ij",
    source="Selvaraju et al., 2017",
    sums=sums,
)
