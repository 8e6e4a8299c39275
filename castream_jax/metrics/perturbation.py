"""Insertion and deletion (Petsiuk et al., 2018): the class probability as pixels are added or removed by rank."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.passes import map_in_chunks


def pixel_ranks(saliency: Float[Array, "J H W"]) -> Int[Array, "J H W"]:
    """Return each pixel's place in the order of decreasing saliency, ties by decreasing flat index (METHOD 3)."""
    flat = saliency.reshape(saliency.shape[0], -1)
    order = jnp.argsort(flat, axis=1, stable=True)[:, ::-1]  # [J N]
    places = jnp.arange(flat.shape[1], dtype=jnp.int32)
    ranks = jax.vmap(lambda o: jnp.zeros_like(places).at[o].set(places, unique_indices=True))(order)
    return ranks.reshape(saliency.shape)


def blur(images: Float[Array, "B H W 3"], kernel: Float[Array, "k k"]) -> Float[Array, "B H W 3"]:
    """Convolve each channel with a kernel, zero padded, in normalised space."""
    pad = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        images,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, 3)),
        (1, 1),
        [(pad, pad)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=3,
        precision=lax.Precision.HIGHEST,
    )


def perturbation_curves(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    before: Float[Array, "B H W 3"],
    after: Float[Array, "B H W 3"],
    saliency: Float[Array, "J H W"],
    source: Int[Array, "J"],
    labels: Int[Array, "J *S"],
    ends: tuple[Float[Array, "J *S"], Float[Array, "J *S"]],
    step: int,
    chunk: int,
) -> Float[Array, "J *S points"]:
    """Return the class probability while pixels change from `before` to `after`, the most salient first.

    Args:
      score_fn: from normalised images to probabilities.
      before, after: the two images each pixel is taken from: (blurred, image) is insertion,
        (image, zeros) deletion.
      saliency: J maps at the images' size; `source` says of which image, `labels` which column of `score_fn`,
        or which S columns: one pass gives them all.
      ends: each map's probability on `before` and on `after`, which many maps share: not computed here.
      step: pixels that change from one point to the next.
      chunk: images in one forward pass.

    Returns:
      `ceil(H W / step) + 1` probabilities for each map; the last step may be short.

    Source: METHOD 3.
    """
    maps, height, width = saliency.shape
    steps = -(-height * width // step)
    ranks = pixel_ranks(saliency)
    columns = labels.reshape(maps, -1)  # [J S]
    inner = steps - 1  # points strictly between the two ends

    def score(index: Array) -> Array:
        job, point = index // inner, index % inner + 1
        changed = ranks[job] < (point * step)[:, None, None]  # [chunk H W]
        images = jnp.where(changed[..., None], after[source[job]], before[source[job]])
        return jnp.take_along_axis(score_fn(images), columns[job], axis=1)  # [chunk S]

    first, last = (end[..., None] for end in ends)  # [J *S 1]
    if inner == 0:
        return jnp.concatenate([first, last], axis=-1)
    curve = map_in_chunks(score, maps * inner, chunk).reshape(maps, inner, -1).swapaxes(1, 2)  # [J S inner]
    return jnp.concatenate([first, curve.reshape(*labels.shape, inner), last], axis=-1)


def area(curves: Float[Array, "*J points"]) -> Float[Array, "*J"]:
    """Return the normalised trapezoid area, `(sum - first/2 - last/2) / (points - 1)` (METHOD 3)."""
    return (curves.sum(-1) - curves[..., 0] / 2 - curves[..., -1] / 2) / (curves.shape[-1] - 1)
