"""Eigen-CAM (Muhammad and Yeasin, 2020): the feature map along its first principal direction; it knows no class."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Subject

SQUARINGS = 16
"""Of a matrix of products: a second direction that is 0.9999 times as strong as the first has died out by then."""


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `A v_1`: A [N C] is not centred, `v_1` its first right singular vector.

    From the first eigenvector of `A A^T` or `A^T A`, whichever is smaller. A singular vector has no sign: the map's
    largest value is its largest absolute one.
    """
    b, h, w, c = subject.feature_map.shape
    a = subject.feature_map.astype(jnp.float32).reshape(b, h * w, c)
    scale = jnp.abs(a).max((1, 2), keepdims=True)
    a = a / positive(scale)
    if h * w <= c:
        gram = multiply("bnc,bmc->bnm", a, a)
        vector = first_direction(gram)
        value = multiply("bn,bn->b", vector, multiply("bnm,bm->bn", gram, vector))
        projected = vector * jnp.sqrt(jnp.maximum(value, 0))[:, None]
    else:
        projected = multiply("bnc,bc->bn", a, first_direction(multiply("bnc,bnd->bcd", a, a)))
    highest, lowest = projected.max(1, keepdims=True), projected.min(1, keepdims=True)
    return jnp.where(-lowest > highest, -projected, projected).reshape(b, h, w) * scale


def first_direction(gram: Float[Array, "B n n"]) -> Float[Array, "B n"]:
    """Return the first eigenvector of matrices without negative eigenvalues, of length 1, or zeros of zeros.

    By products alone, which suit every device. LAPACK's `eigh` of a batch hangs where two devices of a CPU wait for the
    same threads, and a GPU's is slow.
    """

    def square(_: Int[Array, ""], power: Float[Array, "B n n"]) -> Float[Array, "B n n"]:
        power = power / positive(jnp.abs(power).max((1, 2), keepdims=True))
        return multiply("bnm,bmk->bnk", power, power)

    power = lax.fori_loop(0, SQUARINGS, square, gram)  # v v^T, but for a factor
    strongest = jnp.diagonal(power, axis1=1, axis2=2).argmax(1)
    vector = jnp.take_along_axis(power, strongest[:, None, None], 2)[..., 0]
    vector = vector / positive(jnp.abs(vector).max(1, keepdims=True))
    return vector / positive(jnp.sqrt((vector**2).sum(1, keepdims=True)))


def multiply(axes: str, a: Array, b: Array) -> Array:
    """Return a product of arrays in full precision."""
    return jnp.einsum(axes, a, b, precision=lax.Precision.HIGHEST)


def positive(values: Array) -> Array:
    """Return values with 1 in place of 0."""
    return jnp.where(values == 0, 1, values)


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
