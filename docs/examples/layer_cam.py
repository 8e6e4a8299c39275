"""LayerCAM (Jiang et al., 2021): a channel has a weight for each position."""

import jax
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k ReLU(g^k) A^k`; ReLU and min-max come after it."""
    g = gradient(subject.head, subject.feature_map, subject.labels)  # [B h w C], float32
    return (jax.nn.relu(g) * subject.feature_map).sum(-1)


LAYER_CAM = Method(
    key="layer_cam",
    name="LayerCAM",
    meaning="Each position of a channel weighted by its own positive gradient.",
    formula="Σ_k ReLU(∂y/∂A^k) ⊙ A^k",
    source="Jiang et al., 2021",
    sums=sums,
)
