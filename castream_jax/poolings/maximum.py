"""The largest value of each channel."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.poolings.pooling import Pooled, Pooling, Site


class Maximum(nnx.Module):
    """The maximum of the last feature map over its positions."""

    def __init__(self, site: Site):
        del site  # nothing is drawn

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Return each channel's largest value."""
        x = feature_maps[-1].astype(jnp.float32)
        positions = x.reshape(len(x), -1, x.shape[-1])  # [B N C]
        # By its place: compiled, what the slope of `max` compares with it may differ from it in the last bit.
        return jnp.take_along_axis(positions, positions.argmax(1, keepdims=True), axis=1)[:, 0], ()


MAXIMUM = Pooling(
    key="max",
    name="Max",
    meaning="The largest value of each channel of the last feature map, which the classifier was not trained for.",
    source="Oquab et al., 2015",
    trains="",
    create=Maximum,
)
