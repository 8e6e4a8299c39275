"""A backbone of one's own: two convolutions, with a stream on both."""

import jax
from flax import nnx
from jaxtyping import Array, Float

import castream_jax as ca
from castream_jax.models.classifier import Head
from castream_jax.poolings.stream import Stream


class SmallNet(nnx.Module):
    """8 pixels of the image become one position of the last feature map."""

    taps = ("early", "late")  # what the stream reads, in order
    tap_widths = (16, 32)
    targets = ("late",)  # what attributions may start from; the first by default
    smallest_image = 8

    def __init__(self, rngs: nnx.Rngs):
        self.early = nnx.Conv(3, 16, (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.late = nnx.Conv(16, 32, (3, 3), strides=2, rngs=rngs)

    def features(self, images: Float[Array, "B H W 3"], train: bool = False) -> ca.Features:
        early = jax.nn.relu(self.early(images))
        return {"early": early, "late": jax.nn.relu(self.late(early))}

    def replace(self, features: ca.Features, target: str, feature_map: Array) -> ca.Features:
        """Return `features` with `target` changed, and all that follows from it."""
        return features | {target: feature_map}


def create_small_net(num_classes: int, seed: int = 0) -> ca.Classifier:
    rngs = nnx.Rngs(params=seed)
    backbone = SmallNet(rngs)
    stream = Stream(backbone.tap_widths, 1, nnx.initializers.xavier_uniform(), rngs)
    head = Head(32, num_classes, normalise=False, rngs=rngs)
    return ca.Classifier("small_net", backbone, stream, head)
