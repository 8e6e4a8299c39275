"""ShapleyCAM (Cai, 2025): Grad-CAM's weights corrected by the curvature of the head; a gradient of its gradient."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Method, Subject, weighted_sum


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k` with `w_k = mean_ij (g - H A / 2)`, H being the Hessian of the logit.

    `H A` is the gradient pulled back along A, for a Hessian is symmetric. It is 0 behind a linear layer. Behind an
    attention and a linear layer its mean is 0, for no attention changes with what is added to all positions alike: the
    map is Grad-CAM's there, too.
    """
    a = subject.feature_map.astype(jnp.float32)
    g, pull_back = jax.vjp(lambda a: gradient(subject.head, a, subject.labels), a)
    (curved,) = pull_back(a)
    return weighted_sum(a, (g - curved / 2).mean((1, 2)))


SHAPLEY_CAM = Method(
    key="shapley_cam",
    name="ShapleyCAM",
    meaning="Grad-CAM's weights less half of how much they change along the feature map itself.",
    formula="w_k = mean_ij (∂y/∂A - ½ (∂²y/∂A²) A)^k_ij",
    source="Cai, 2025",
    options={"of": "logit"},
    sums=sums,
)
