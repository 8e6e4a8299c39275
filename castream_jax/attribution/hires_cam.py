"""HiResCAM (Draelos and Carin, 2020): gradient times activation, by position; one gradient of the head alone."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient, logits_of
from castream_jax.attribution.method import Method, Subject


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k g^k A^k`.

    Behind one linear layer it adds up to the logit without its bias: each position is what it contributes. Where the
    head is not linear, as an attention's is not, `describe` says what is missing.
    """
    g = gradient(subject.head, subject.feature_map, subject.labels)
    return (g * subject.feature_map.astype(jnp.float32)).sum(-1)


def describe(subject: Subject) -> Mapping[str, Float[Array, "B"]]:
    """Return what the map leaves of the logit unexplained: `y(A) - y(0) - sum_ij S_ij`, as a share of `y(A) - y(0)`."""
    empty = jnp.zeros_like(subject.feature_map)
    y, y0 = (logits_of(subject.head, a, subject.labels) for a in (subject.feature_map, empty))
    change = y - y0
    return {"hires_cam_residual": (change - sums(subject).sum((1, 2))) / jnp.where(change == 0, 1, change)}


def remark(columns: Mapping[str, Float[np.ndarray, "n"]]) -> str:
    """Say what share of the logit the map does not add up to."""
    residual = np.abs(columns["hires_cam_residual"])
    return (
        f"before ReLU the map leaves {100 * np.median(residual):.3g} % of the logit's rise from an empty feature map "
        f"unexplained, median over images, {100 * residual.max():.3g} % in the worst."
    )


HIRES_CAM = Method(
    key="hires_cam",
    name="HiResCAM",
    meaning="Each position of a channel weighted by its own gradient: what it contributes, if the head is linear.",
    formula="Σ_k ∂y/∂A^k ⊙ A^k",
    source="Draelos and Carin, 2020",
    columns=("hires_cam_residual",),
    sums=sums,
    describe=describe,
    remark=remark,
)
