"""A network as everything else sees it: `features`, then `head`.

    features = model.features(images)          # named feature maps
    logits, attention = model.head(features)   # pooling and frozen classifier

Nothing ever runs backward through `features`.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError, choose
from castream_jax.models import layers
from castream_jax.models.backbone import Backbone
from castream_jax.models.convnext import ConvNeXtSpec
from castream_jax.models.efficientnet_lite import EfficientNetLiteSpec
from castream_jax.models.families import list_architectures, resolve
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.models.network import Features as Features
from castream_jax.models.resnet import ResNetSpec
from castream_jax.models.scores import Score, check_score, compute_scores
from castream_jax.models.stream import Stream, pool_by

ARCHITECTURES = list_architectures()
POOLINGS = ("gap", "ca")
Spec = ResNetSpec | ConvNeXtSpec | EfficientNetLiteSpec
DTYPES = ("float32", "bfloat16")


class Head(nnx.Module):
    """The classifier that a pooled feature goes through; with `normalise` after layer normalisation, as ConvNeXt's."""

    def __init__(self, features: int, num_classes: int, normalise: bool, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        self.norm = layers.layer_norm(features, float32, rngs) if normalise else None
        self.linear = layers.linear(features, num_classes, float32, rngs)

    def normalise(self, pooled: Float[Array, "B C"]) -> Float[Array, "B C"]:
        """Return what the linear layer sees."""
        return pooled if self.norm is None else self.norm(pooled)

    def __call__(self, pooled: Float[Array, "B C"]) -> Float[Array, "B K"]:
        return self.linear(self.normalise(pooled))


class Classifier(nnx.Module):
    """A backbone, a pooling (a `Stream`, or global average pooling where `stream` is None) and a classifier."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        stream: Stream | None,
        classifier: Head,
        normalisation: Normalisation = IMAGENET,
        preprocessing: Preprocessing | None = None,
        class_names: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        score: Score = "softmax",
    ):
        """Put the parts together.

        Args:
          name: the architecture's.
          backbone, stream, classifier: the parts.
          normalisation: of its input.
          preprocessing: how pictures become its input; None: not known.
          class_names: by label; empty: not known.
          notes: what is to be known of its weights, in sentences: a fresh stream, a moving average.
          score: how logits become scores: "softmax", "sigmoid", or a function of logits [B K].

        Raises:
          InputError: an unknown score.
        """
        self.name = name
        self.backbone = backbone
        self.stream = stream
        self.classifier = classifier
        self.normalisation = normalisation
        self.preprocessing = preprocessing
        self.class_names = class_names
        self.notes = notes
        self.score = check_score(score)

    @property
    def pooling(self) -> str:
        return "gap" if self.stream is None else "ca"

    @property
    def has_attention(self) -> bool:
        """Whether `head` returns the attention of a stream."""
        return self.stream is not None

    @property
    def num_classes(self) -> int:
        return self.classifier.linear.out_features

    def features(self, images: Float[Array, "B H W C"], train: bool = False) -> Features:
        """Return the backbone's named feature maps.

        Args:
          images: normalised float32 images; any size that leaves every stage at least one position.
          train: use and move batch statistics. Only for training a backbone from scratch.
        """
        smallest = self.backbone.smallest_image
        if min(images.shape[1:3]) < smallest:
            raise InputError(
                f"images are {images.shape[1]}x{images.shape[2]}: {self.name} needs at least {smallest} pixels a side."
            )
        return self.backbone.features(images, train)

    def head(self, features: Features) -> tuple[Float[Array, "B K"], tuple[Float[Array, "B heads _ _"], ...]]:
        """Return logits, and the softmax attention of each of the stream's blocks (none for GAP)."""
        pooled, attention = self.pool(features)
        return self.classifier(pooled), attention

    def pool(self, features: Features) -> tuple[Float[Array, "B C"], tuple[Float[Array, "B heads _ _"], ...]]:
        """Return the pooled feature, and the attention of each of the stream's blocks (none for GAP)."""
        if self.stream is None:
            return jnp.mean(features[self.backbone.taps[-1]], (1, 2), dtype=jnp.float32), ()  # [B C]
        return self.stream([features[tap] for tap in self.backbone.taps])

    def attended(self, features: Features) -> Float[Array, "B h w C"]:
        """Return the feature map that the stream's last block pools."""
        return features[self.backbone.taps[-1]]

    def answer_to(self, features: Features, attention: Float[Array, "B heads h w"]) -> Float[Array, "B K"]:
        """Return the logits that another attention of the stream's last block would give."""
        assert self.stream is not None
        return self.classifier(self.stream.projections[-1](pool_by(attention, self.attended(features))))

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B K"]:
        """Return logits."""
        return self.head(self.features(images))[0]

    def scores(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Return each class's score in 0..1: what masks, curves and tables ask of the network."""
        return compute_scores(self.score, logits)

    def replace(self, features: Features, target: str, feature_map: Float[Array, "B h w C"]) -> Features:
        """Return `features` with `target` set to `feature_map`, and all that follows from it."""
        return self.backbone.replace(features, target, feature_map)

    def poolings(self) -> dict[str, "Classifier"]:
        """Return the networks in this one that share its features: GAP always, CA where there is a stream."""
        gap = self.pooled_by(None)
        return {"gap": gap} if self.stream is None else {"gap": gap, "ca": self}

    def pooled_by(self, stream: Stream | None) -> "Classifier":
        """Return the same network with another pooling; it shares this one's arrays."""
        known = self.normalisation, self.preprocessing, self.class_names, self.notes, self.score
        return Classifier(self.name, self.backbone, stream, self.classifier, *known)

    @property
    def targets(self) -> tuple[str, ...]:
        """The feature maps that attributions may start from; the first one by default."""
        return self.backbone.targets

    def target(self, name: str | None) -> str:
        """Return the feature map that attributions start from: `name`, or this backbone's default."""
        return self.targets[0] if name is None else choose("target", name, self.targets)


def create_model(
    name: str | Spec,
    pooling: str = "ca",
    num_classes: int = 1000,
    heads: int = 1,
    seed: int = 0,
    dtype: str = "float32",
    normalisation: Normalisation = IMAGENET,
    score: Score = "softmax",
    stream_init: str = "reference",
) -> Classifier:
    """Build a network with fresh weights.

    Args:
      name: one of `ARCHITECTURES`, or a spec of a family: `resnet.ResNetSpec((3, 4, 6, 3), True, inner=2)`. Weights of
        such a network are read and written as its family's are.
      pooling: "gap" or "ca".
      num_classes: the number of logits.
      heads: attention heads of the stream; must divide every tap's width. Unused for GAP.
      seed: of the initial weights. The stream's are drawn after the rest, so that the GAP and CA networks
        of one seed share backbone and classifier.
      dtype: what the backbone computes in, "float32" or "bfloat16". Parameters and the head stay float32.
      normalisation: what the input images were normalised with; ImageNet's by default.
      score: how logits become scores: "softmax", "sigmoid", or a function of logits [B K].
      stream_init: of the stream: "reference", drawn as the authors do, or "identity", which pools as GAP does before
        it is trained.

    Raises:
      InputError: an unknown name, pooling, dtype, score or start, or numbers out of range.

    Source: METHOD 1.
    """
    name, family, spec = resolve(name)
    choose("pooling", pooling, POOLINGS)
    choose("dtype", dtype, DTYPES)
    if num_classes < 1:
        raise InputError(f"num_classes is {num_classes}: it must be at least 1.")
    rngs = nnx.Rngs(params=seed)
    backbone = family.create(spec, jnp.dtype(dtype), rngs)
    classifier = Head(backbone.tap_widths[-1], num_classes, normalise=family.head_norm, rngs=rngs)
    stream = Stream(backbone.tap_widths, heads, family.stream_init, rngs, stream_init) if pooling == "ca" else None
    return Classifier(name, backbone, stream, classifier, normalisation, score=score)
