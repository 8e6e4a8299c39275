"""LayerCAM (Jiang et al., 2021): a channel has a weight for each position; of one stage, or of several in one map."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.gradient import gradient
from castream_jax.attribution.method import Method, Subject
from castream_jax.attribution.stages import list_stages, stage_gradients
from castream_jax.compute.masking import upsample
from castream_jax.errors import InputError

GAMMA = 2
"""How much the tanh lifts the maps of earlier stages, whose values are small."""


def weigh(g: Float[Array, "B h w C"], a: Float[Array, "B h w C"]) -> Float[Array, "B h w"]:
    """Return `sum_k ReLU(g^k) A^k`, in float32."""
    return (jax.nn.relu(g) * a.astype(jnp.float32)).sum(-1)


def fuse(maps: list[Float[Array, "B _ _"]]) -> Float[Array, "B h w"]:
    """Return the largest of several stages' maps at each position, the last stage's first, on the finest grid.

    Each is divided by its maximum; those before the last one go through `tanh(gamma M)`, too.
    """
    finest = maps[-1].shape[1], maps[-1].shape[2]
    shares = []
    for place, values in enumerate(jax.nn.relu(m) for m in maps):
        highest = values.max((1, 2), keepdims=True)
        share = values / jnp.where(highest == 0, 1, highest)
        shares.append(upsample(jnp.tanh(GAMMA * share) if place else share, finest))
    return jnp.stack(shares).max(0)


@functools.lru_cache
def layer_cam(stages: int = 1) -> Method:
    """Return LayerCAM as a method.

    Args:
      stages: how many are fused, the target first and then earlier ones, the last feature map of each finer grid; 0:
        all. More than one: the gradient runs through the trunk, back to the earliest of them.

    Raises:
      InputError: fewer than none.
    """
    if stages < 0:
        raise InputError(f"layer_cam_stages is {stages}: expected 1 or more, or 0 (all).")

    def sums(subject: Subject) -> Float[Array, "B h w"]:
        """Return `sum_k ReLU(g^k) A^k`, or that of several stages, fused."""
        if stages == 1:
            return weigh(gradient(subject.head, subject.feature_map, subject.labels), subject.feature_map)
        found = stage_gradients(subject, list_stages(subject)[: stages or None])
        return fuse([weigh(g, a) for g, a in found])

    return Method(
        key="layer_cam",
        name="LayerCAM",
        meaning="Each position of a channel weighted by its own positive gradient.",
        formula="Σ_k (∂y/∂A^k)₊ ⊙ A^k",
        source="Jiang et al., 2021",
        through_trunk=int(stages != 1),
        options={} if stages == 1 else {"stages": stages, "gamma": GAMMA, "fusion": "maximum"},
        sums=sums,
        configure=layer_cam,
    )


LAYER_CAM = layer_cam()
