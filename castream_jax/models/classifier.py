"""A network as everything else sees it: `features`, then `head`.

    features = model.features(images)          # named feature maps
    logits, attention = model.head(features)   # pooling and frozen classifier

Nothing ever runs backward through `features`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError, choose
from castream_jax.models.backbone import Backbone
from castream_jax.models.convnext import ConvNeXtSpec
from castream_jax.models.efficientnet_lite import EfficientNetLiteSpec
from castream_jax.models.families import list_architectures, resolve
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.models.layers import modules
from castream_jax.models.layers.fresh import xavier_uniform
from castream_jax.models.network import Features as Features
from castream_jax.models.resnet import ResNetSpec
from castream_jax.models.scores import Score, check_score, compute_scores
from castream_jax.poolings.choice import Choice
from castream_jax.poolings.choosing import Trunk, choose_poolings, create_modules, keep_as_created
from castream_jax.poolings.pooling import Pooled, Repooling
from castream_jax.poolings.stream import Stream

ARCHITECTURES = list_architectures()
Spec = ResNetSpec | ConvNeXtSpec | EfficientNetLiteSpec
DTYPES = ("float32", "bfloat16")


class Head(nnx.Module):
    """The classifier that a pooled feature goes through; with `normalise` after layer normalisation, as ConvNeXt's."""

    def __init__(self, features: int, num_classes: int, normalise: bool, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        self.norm = modules.layer_norm(features, float32, rngs) if normalise else None
        self.linear = modules.linear(features, num_classes, float32, rngs)

    def normalise(self, pooled: Float[Array, "B C"]) -> Float[Array, "B C"]:
        """Return what the linear layer sees."""
        return pooled if self.norm is None else self.norm(pooled)

    def __call__(self, pooled: Float[Array, "B C"]) -> Float[Array, "B K"]:
        return self.linear(self.normalise(pooled))


class Classifier(nnx.Module):
    """A backbone, what pools its features in place of global average pooling, and a classifier."""

    stream: Stream | None = None
    """The published stream, where it is one of the poolings."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        pools: Mapping[str, Any] | Stream | None,
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
          backbone, classifier: the parts.
          pools: the modules of its poolings, by what a config names them (`poolings.choice`); the first is that of
            `head`. A `Stream` alone is "ca"; none: global average pooling.
          normalisation: of its input.
          preprocessing: how pictures become its input; None: not known.
          class_names: by label; empty: not known.
          notes: what is to be known of its weights, in sentences: a fresh stream, a moving average.
          score: how logits become scores: "softmax", "sigmoid", or a function of logits [B K].

        Raises:
          InputError: an unknown score or pooling, or one with the name of something else in a network.
        """
        self.name = name
        self.backbone = backbone
        pools = {"ca": pools} if isinstance(pools, Stream) else pools or {}
        self.choices: tuple[Choice, ...] = choose_poolings(list(pools)) if pools else ()
        self.classifier = classifier
        self.normalisation = normalisation
        self.preprocessing = preprocessing
        self.class_names = class_names
        self.notes = notes
        self.score = check_score(score)
        for choice, module in zip(self.choices, pools.values(), strict=True):
            if choice.part != "stream" and hasattr(self, choice.part):
                raise InputError(
                    f"pooling {choice.text!r} would hide {choice.part!r} of the network: give it another key."
                )
            setattr(self, choice.part, module if choice.trained else keep_as_created(module))

    @property
    def pooling(self) -> str:
        """The pooling of `head`, as rows name it."""
        return self.choices[0].text if self.choices else "gap"

    @property
    def has_attention(self) -> bool:
        """Whether `head` returns attention."""
        return bool(self.choices) and self.choices[0].pooling.has_attention

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

    def pool(self, features: Features) -> Pooled:
        """Return the pooled feature, and the attention of each block of what pools it (none for GAP)."""
        if not self.choices:
            return jnp.mean(features[self.backbone.taps[-1]], (1, 2), dtype=jnp.float32), ()  # [B C]
        pooled: Pooled = self.module()([features[tap] for tap in self.taps_of(self.choices[0])])
        return pooled

    def module(self) -> Any:
        """Return the module of the pooling of `head`."""
        return getattr(self, self.choices[0].part)

    def taps_of(self, choice: Choice) -> tuple[str, ...]:
        """Return the feature maps that a pooling reads, in order."""
        own = self.backbone.taps
        return choice.taps or (own if choice.pooling.reads == "all" else own[-1:])

    @property
    def taps(self) -> tuple[str, ...]:
        """The feature maps that its poolings read, GAP among them, those of the backbone's stream in their order."""
        read = {tap for choice in self.choices for tap in self.taps_of(choice)} | {self.backbone.taps[-1]}
        own = [tap for tap in self.backbone.taps if tap in read]
        return (*own, *sorted(read - set(own)))

    def attended(self, features: Features) -> Float[Array, "B h w C"]:
        """Return what the last block's attention weighs; `InputError` if the pooling does not tell."""
        module, last = self._repooling()
        return module.values(features[last])

    def answer_to(self, features: Features, attention: Float[Array, "B heads h w"]) -> Float[Array, "B K"]:
        """Return the logits that another attention of the last block would give; `InputError` as `attended`."""
        module, last = self._repooling()
        return self.classifier(module.repool(attention, features[last]))

    def _repooling(self) -> tuple[Repooling, str]:
        """Return the pooling's module and its last tap, or raise `InputError`."""
        module = self.module() if self.choices else None
        if not isinstance(module, Repooling):
            raise InputError(
                f"pooling {self.pooling!r} does not tell what its attention weighs: expected a module with the methods "
                "`values` and `repool` (`poolings.pooling.Repooling`). Leave out attention_gradient and "
                "attention_value."
            )
        return module, self.taps_of(self.choices[0])[-1]

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
        """Return the networks in this one that share its features: GAP always, and that of each of its poolings."""
        if len(self.choices) == 1:
            return {"gap": self.pooled_by({}), self.pooling: self}
        own = {choice.text: getattr(self, choice.part) for choice in self.choices}
        return {"gap": self.pooled_by({})} | {text: self.pooled_by({text: module}) for text, module in own.items()}

    def pooled_by(self, pools: Mapping[str, Any] | Stream | None) -> "Classifier":
        """Return the same network with other poolings; it shares this one's arrays."""
        known = self.normalisation, self.preprocessing, self.class_names, self.notes, self.score
        return Classifier(self.name, self.backbone, pools, self.classifier, *known)

    @property
    def targets(self) -> tuple[str, ...]:
        """The feature maps that attributions may start from; the first one by default."""
        return self.backbone.targets

    def target(self, name: str | None) -> str:
        """Return the feature map that attributions start from: `name`, or this backbone's default."""
        return self.targets[0] if name is None else choose("target", name, self.targets)


def create_model(
    name: str | Spec,
    pooling: str | Sequence[str] = "ca",
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
      pooling: what pools the features, a key of `POOLINGS`, or several: "ca, simpool", ("ca", "gem(p=4)"). GAP is
        always there beside them. Options stand in parentheses: "ca(taps=stage3+stage4, heads=2)".
      num_classes: the number of logits.
      heads: attention heads of the poolings that have such, where they name none; must divide the widths they split.
      seed: of the initial weights. Those of poolings are drawn after the rest, each from the same random numbers: the
        networks of one seed share backbone and classifier, and a pooling starts alike whatever stands beside it.
      dtype: what the backbone computes in, "float32" or "bfloat16". Parameters and the head stay float32.
      normalisation: what the input images were normalised with; ImageNet's by default.
      score: how logits become scores: "softmax", "sigmoid", or a function of logits [B K].
      stream_init: of streams that name no start: "reference", drawn as the authors do, or "identity", which pools as
        GAP does before it is trained.

    Raises:
      InputError: an unknown name, pooling, dtype, score or start, or numbers out of range.

    Source: METHOD 1.
    """
    name, family, spec = resolve(name)
    choices = choose_poolings(pooling)
    choose("dtype", dtype, DTYPES)
    if num_classes < 1:
        raise InputError(f"num_classes is {num_classes}: it must be at least 1.")
    rngs = nnx.Rngs(params=seed)
    backbone = family.create(spec, jnp.dtype(dtype), rngs)
    classifier = Head(backbone.tap_widths[-1], num_classes, normalise=family.head_norm, rngs=rngs)
    trunk = describe_trunk(backbone, choices, family.stream_init, len(normalisation.mean))
    modules = create_modules(choices, trunk, rngs, {"heads": heads, "stream_init": stream_init})
    return Classifier(name, backbone, modules, classifier, normalisation, score=score)


def describe_trunk(
    backbone: Backbone,
    choices: Sequence[Choice],
    initializer: nnx.Initializer = xavier_uniform,
    channels: int = 3,
) -> Trunk:
    """Return what poolings need to know of a backbone.

    Args:
      backbone: any.
      choices: the poolings: the backbone is traced where they read feature maps that are none of its taps.
      initializer: of the poolings' projections.
      channels: of its images.
    """
    widths = dict(zip(backbone.taps, backbone.tap_widths, strict=True))
    if any(tap not in widths for choice in choices for tap in choice.taps):
        side = max(backbone.smallest_image, 32)
        image = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
        found = nnx.eval_shape(lambda model, x: model.features(x), backbone, image)
        widths |= {name: values.shape[-1] for name, values in found.items()}
    return Trunk(backbone.taps, widths, initializer)
