"""Ablation-CAM (Ramaswamy and Desai, 2020): a channel's weight is what the class's logit loses without it.

One pass of the head alone for each channel; of the images nothing goes through the trunk again.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.gradient import logits_of
from castream_jax.attribution.method import Head, Method, Subject, weighted_sum

TOGETHER = 8
"""Channels that are left out at once, each in its own copy of the feature map: more need memory, and save no time."""


def ablation_weights(head: Head, feature_map: Float[Array, "B h w C"], labels: Int[Array, "B"]) -> Float[Array, "B C"]:
    """Return `w_k = y - y without A^k`.

    The paper divides by y, which scales a map, and turns its sign round where the logit is negative: here it does not.
    """
    y = logits_of(head, feature_map, labels)
    channels = jnp.arange(feature_map.shape[-1])  # [C]

    def without(k: Int[Array, ""]) -> Float[Array, "B"]:
        return logits_of(head, jnp.where((channels == k)[None, None, None], 0, feature_map), labels)

    return y[:, None] - lax.map(without, channels, batch_size=TOGETHER).T


def sums(subject: Subject) -> Float[Array, "B h w"]:
    """Return `sum_k w_k A^k`."""
    return weighted_sum(subject.feature_map, ablation_weights(subject.head, subject.feature_map, subject.labels))


ABLATION_CAM = Method(
    key="ablation_cam",
    name="Ablation-CAM",
    meaning="Channels weighted by what the class's logit loses without each of them.",
    formula="w_k = y - y(A^k = 0)",
    source="Ramaswamy and Desai, 2020",
    options={"of": "logit", "divided by the logit": False},
    sums=sums,
)
