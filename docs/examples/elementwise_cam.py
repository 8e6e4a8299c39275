"""Element-wise CAM: what raises a class's logit at a position, channel by channel, and nothing that lowers it."""

import jax
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k ReLU(g^k A^k)`; min-max comes after it."""
    g = gradient(subject.head, subject.feature_map, subject.labels)  # [B h w C], float32
    return jax.nn.relu(g * subject.feature_map).sum(-1)


ELEMENTWISE_CAM = Method(
    key="elementwise_cam",
    name="Element-wise CAM",
    meaning="The products of activation and gradient that are positive, added up over channels.",
    formula="Σ_k (∂y/∂A^k ⊙ A^k)₊",
    source="GradCAMElementWise of pytorch-grad-cam",
    sums=sums,
)
