"""Eigen-CAM (Muhammad and Yeasin, 2020): the feature map along its first principal direction; it knows no class."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `A v_1`: A [N C] is not centred, `v_1` its first right singular vector.

    From the eigenvectors of `A A^T` or `A^T A`, whichever is smaller. A singular vector has no sign: the map's largest
    value is its largest absolute one.
    """
    b, h, w, c = subject.feature_map.shape
    a = subject.feature_map.astype(jnp.float32).reshape(b, h * w, c)
    scale = jnp.abs(a).max((1, 2), keepdims=True)
    a = a / jnp.where(scale == 0, 1, scale)
    if h * w <= c:
        gram = jnp.einsum("bnc,bmc->bnm", a, a, precision=lax.Precision.HIGHEST)
        values, vectors = jnp.linalg.eigh(gram)  # in ascending order
        projected = vectors[..., -1] * jnp.sqrt(jnp.maximum(values[:, -1:], 0))
    else:
        gram = jnp.einsum("bnc,bnd->bcd", a, a, precision=lax.Precision.HIGHEST)
        projected = jnp.einsum("bnc,bc->bn", a, jnp.linalg.eigh(gram)[1][..., -1], precision=lax.Precision.HIGHEST)
    highest, lowest = projected.max(1, keepdims=True), projected.min(1, keepdims=True)
    return jnp.where(-lowest > highest, -projected, projected).reshape(b, h, w) * scale


EIGEN_CAM = Method(
    key="eigen_cam",
    name="Eigen-CAM",
    meaning="The feature map along its first principal direction, the same for every class.",
    formula="A v₁, A = U Σ Vᵀ",
    source="Muhammad and Yeasin, 2020",
    has_classes=False,
    options={"centred": False, "sign": "largest absolute value is positive"},
    sums=sums,
)
