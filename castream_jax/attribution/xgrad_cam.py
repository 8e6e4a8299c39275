"""XGrad-CAM (Fu et al., 2020): the gradient's mean over a channel, weighted by its activation; one head gradient."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Method, Subject, weighted_sum


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k` with `w_k = sum_ij g A / sum_ij |A|`, 0 for a dead channel.

    The paper divides by `sum_ij A`, which is the same for what comes out of a ReLU. Of activations with both signs that
    sum may vanish, and its weight says nothing; with absolute values the weight stays within the gradient's range.
    """
    a = subject.feature_map.astype(jnp.float32)
    g = gradient(subject.head, subject.feature_map, subject.labels)
    total = jnp.abs(a).sum((1, 2))  # [B C]
    weights = (g * a).sum((1, 2)) / jnp.where(total == 0, 1, total)
    return weighted_sum(a, weights)


XGRAD_CAM = Method(
    key="xgrad_cam",
    name="XGrad-CAM",
    meaning="Channels weighted by their gradient, averaged in proportion to the activation at each position.",
    formula="w_k = Σ_ij ∂y/∂A^k_ij A^k_ij / Σ_ij |A^k_ij|",
    source="Fu et al., 2020",
    options={"of signed activations": "divided by the sum of absolute values"},
    sums=sums,
)
