"""Group-CAM (Zhang et al., 2021): Grad-CAM in groups of channels, each weighted by what it brings back.

As many forward passes as groups, for each class and pooling, and one for the blurred image.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Scene, Subject
from castream_jax.compute.masking import min_max, upsample
from castream_jax.compute.questions import Conversation, Question
from castream_jax.errors import InputError

GROUPS = 32
PERCENTILE = 70.0
"""Of a group's map: what is below becomes 0."""
BLUR, SPREAD = 51, 50.0
"""Pixels on a side of the blur's kernel, and its standard deviation."""


def blur_matrix(length: int) -> Float[np.ndarray, "length length"]:
    """Return the matrix that blurs a line of pixels, mirrored at its ends without repeating the last one."""
    offsets = np.arange(BLUR) - BLUR // 2
    weights = np.exp(-0.5 * (offsets / SPREAD) ** 2)
    period = max(2 * (length - 1), 1)
    places = np.abs((np.arange(length)[:, None] + offsets + length - 1) % period - (length - 1))
    matrix = np.zeros((length, length))
    np.add.at(matrix, (np.arange(length)[:, None], places), weights / weights.sum())
    return matrix.astype(np.float32)


def blur(images: Float[Array, "B H W c"]) -> Float[Array, "B H W c"]:
    """Return images blurred until little but their colours is left."""
    rows, columns = (blur_matrix(length) for length in images.shape[1:3])
    return jnp.einsum("Hh,bhwc,Ww->bHWc", rows, images, columns, precision=lax.Precision.HIGHEST)


def group_maps(feature_map: Float[Array, "B h w C"], weights: Float[Array, "B C Q"]) -> Float[Array, "B Q G h w"]:
    """Return `ReLU(sum_k w_k A^k)` of each group of neighbouring channels, 0 below its own percentile."""
    c = feature_map.shape[-1]
    groups = min(GROUPS, c)
    member = jnp.asarray(np.eye(groups, dtype=np.float32)[np.arange(c) * groups // c])  # [C G]
    a = feature_map.astype(jnp.float32)
    maps = jax.nn.relu(jnp.einsum("bhwc,bcq,cg->bqghw", a, weights, member, precision=lax.Precision.HIGHEST))
    return jnp.where(maps < jnp.percentile(maps, PERCENTILE, axis=(-2, -1), keepdims=True), 0, maps)


def ask(scene: Scene) -> Conversation:
    """Find each group's map times what it brings back, for every class and pooling: [B h w Q]."""
    if scene.explained is None:
        raise InputError("group_cam needs the whole network: use `ca.attribute`.")
    logits, pull_back = jax.vjp(scene.explained, scene.feature_map)
    one_hot = jnp.eye(logits.shape[1], dtype=logits.dtype)
    weights = [pull_back(jnp.broadcast_to(row, logits.shape))[0].astype(jnp.float32).mean((1, 2)) for row in one_hot]
    maps = group_maps(scene.feature_map, jnp.stack(weights, -1))  # [B Q G h w]
    b, q, g, h, w = maps.shape
    images, blurred = scene.images, blur(scene.images)
    flat = maps.reshape(b * q * g, h, w)

    def make(place: Int[Array, "n"]) -> Float[Array, "n H W c"]:
        of = place // (q * g)
        shown = min_max(upsample(flat[place], scene.size))[..., None]
        return shown * images[of] + (1 - shown) * blurred[of]

    nothing = Question(("group_cam", "blurred"), lambda place: blurred[place], b, "image", lambda place: place)
    # Each is of one class and pooling: nothing is shared.
    shown = Question(("group_cam", "groups"), make, b * q * g, "map", lambda place: place // (q * g))
    before, scores = yield [nothing, shown]
    own = jnp.diagonal(scores.reshape(b, q, g, q), axis1=1, axis2=3)  # [B G Q]
    brought = jax.nn.relu(own - before[:, None])
    return jnp.einsum("bgq,bqghw->bhwq", brought, maps, precision=lax.Precision.HIGHEST)


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_l beta_l M_l`."""
    return subject.answers


GROUP_CAM = Method(
    key="group_cam",
    name="Group-CAM",
    meaning="Groups of Grad-CAM's channels weighted by how much of the class each brings back to a blurred image.",
    formula="β_l = (p(x ⊙ M_l + x̃ ⊙ (1 - M_l)) - p(x̃))₊",
    source="Zhang et al., 2021",
    options={"groups": GROUPS, "percentile": PERCENTILE, "blur": [BLUR, SPREAD], "weights": "grad_cam"},
    sums=sums,
    ask=ask,
)
