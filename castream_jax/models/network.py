"""What maps, measures and runs ask of a network: whatever has this is explained and evaluated as ours are.

    features = network.features(images)          # named feature maps
    logits, attention = network.head(features)   # pooling and classifier

The rest of the program takes a network apart and puts it together again (`nnx.split`, `nnx.merge`), so that it is an
`nnx.Module`: its arrays stand in `nnx.Variable`s, and all else that it has is hashable.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from castream_jax.models.inputs import Normalisation, Preprocessing
from castream_jax.models.scores import Score

Features = dict[str, Array]
"""Named feature maps, each [B h w C]: every tap of the stream, and what else an attribution may start from."""


@runtime_checkable
class Network(Protocol):
    """A frozen network in two halves; `Classifier` is one, and what `network` makes of two functions another."""

    name: str
    """What messages, tables and reports call it."""
    normalisation: Normalisation
    """Of its input; as many numbers as images have channels."""
    preprocessing: Preprocessing | None
    """How pictures become its input; None: not known."""
    class_names: tuple[str, ...]
    """By label; empty: not known."""
    notes: tuple[str, ...]
    """What is to be known of its weights, in sentences."""
    score: Score
    """How its logits become scores: "softmax", "sigmoid", or a function of one's own."""

    @property
    def pooling(self) -> str:
        """Its key among `poolings`."""

    @property
    def num_classes(self) -> int:
        """How many logits it has."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The feature maps that attributions may start from; the first one by default."""

    @property
    def has_attention(self) -> bool:
        """Whether `head` returns attention maps."""

    def features(self, images: Float[Array, "B H W C"]) -> Features:
        """Return the named feature maps of normalised images."""

    def head(self, features: Features) -> tuple[Float[Array, "B K"], tuple[Float[Array, "B heads _ _"], ...]]:
        """Return logits, and attention where there is any, that of the last block last."""

    def scores(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Return each class's score in 0..1: what masks, curves and tables ask of the network."""

    def replace(self, features: Features, target: str, feature_map: Float[Array, "B h w D"]) -> Features:
        """Return `features` with `target` set to `feature_map`, and all that follows from it."""

    def target(self, name: str | None) -> str:
        """Return the feature map that attributions start from: `name`, or the default; `InputError` if unknown."""

    def poolings(self) -> Mapping[str, "Network"]:
        """Return the networks that share this one's features, by pooling; the first is what others are compared to."""


@runtime_checkable
class Attentive(Protocol):
    """What a network with attention may have beside that: what its last block's attention weighs, and leads to."""

    def attended(self, features: Features) -> Float[Array, "B h w C"]:
        """Return the feature map that the last block pools; each head has its part of the channels, in their order."""

    def answer_to(self, features: Features, attention: Float[Array, "B heads h w"]) -> Float[Array, "B K"]:
        """Return the logits that another attention of the last block would give."""


def list_missing(found: object) -> list[str]:
    """Return what an object lacks to be a network, by name."""
    asked = (*Network.__annotations__, *(name for name in vars(Network) if not name.startswith("_")))
    return [name for name in asked if not hasattr(found, name)]
