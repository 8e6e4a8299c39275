"""EfficientNet-Lite (Google, 2020): EfficientNet without squeeze-and-excitation, and with ReLU6 for its swish.

Feature maps: `stem`, `stage1` to `stage7`, and `head`, the last 1x1 convolution, which is pooled. Stems and heads keep
their widths however a network is scaled.

Source: tensorflow/tpu, models/official/efficientnet/lite; Tan and Le, "EfficientNet", ICML 2019.
"""

import functools
import math
from dataclasses import dataclass, replace

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.models.layers import modules
from castream_jax.models.layers.modules import relu6

STEM, HEAD = 32, 1280
"""Channels."""
DIVISOR = 8
"""Of channels that are scaled."""
EARLY = 3
"""Stages whose maps are large and whose weights are small."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, of which the first has the stride."""

    depth: int
    size: int
    """Of the depthwise kernels."""
    stride: int
    expansion: int
    """Channels inside a block, for each that comes in."""
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
NUMBERED = tuple(f"stage{number}" for number in range(1, len(STAGES) + 1))


@dataclass(frozen=True)
class EfficientNetLiteSpec:
    """What tells one EfficientNet-Lite from another."""

    width: float = 1.0
    """What the channels of the stages are multiplied with."""
    depth: float = 1.0
    """What the blocks of the stages are multiplied with, but for those of the first and the last."""
    same: bool = True
    """Pad as TensorFlow does, or else half the kernel on every side, as networks that torch trained."""
    epsilon: float = 1e-3
    """Of the batch normalisations."""
    taps: tuple[str, ...] = ("stage2", "stage3", "stage5", "head")
    """The feature maps that a stream reads; the last is `head`. The stem, whose map is the largest, has no part."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, scaled."""
        first, *middle, last = (replace(stage, width=_scale(stage.width, self.width)) for stage in STAGES)
        return (first, *(replace(stage, depth=math.ceil(stage.depth * self.depth)) for stage in middle), last)

    @property
    def widths(self) -> dict[str, int]:
        """The channels of each feature map."""
        scaled = {name: stage.width for name, stage in zip(NUMBERED, self.stages, strict=True)}
        return {"stem": STEM} | scaled | {"head": HEAD}


def _scale(width: int, factor: float) -> int:
    """Return a number of channels scaled to a multiple of `DIVISOR`, and by no more than a tenth less than asked."""
    scaled = width * factor
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * scaled else rounded + DIVISOR


SPECS = {
    "efficientnet_lite0": EfficientNetLiteSpec(),
    "efficientnet_lite1": EfficientNetLiteSpec(1.0, 1.1),
    "efficientnet_lite2": EfficientNetLiteSpec(1.1, 1.2),
    "efficientnet_lite3": EfficientNetLiteSpec(1.2, 1.4),
    "efficientnet_lite4": EfficientNetLiteSpec(1.4, 1.8),
    # As timm trained it again in torch: the same arrays, other zeros around them.
    "efficientnet_lite0_symmetric": EfficientNetLiteSpec(same=False, epsilon=1e-5),
}


class Block(nnx.Module):
    """An inverted bottleneck: 1x1 that expands, depthwise, and 1x1 that projects, added to the input where it fits."""

    def __init__(self, features_in: int, stage: Stage, stride: int, spec: EfficientNetLiteSpec, rngs: nnx.Rngs):
        inner = stage.expansion * features_in
        layer = functools.partial(modules.ConvNorm, rngs=rngs, epsilon=spec.epsilon, same=spec.same)
        self.expand = layer(1, features_in, inner, stride=1) if stage.expansion > 1 else None
        self.depthwise = modules.DepthwiseNorm(
            stage.size, inner, inner, stride=stride, rngs=rngs, epsilon=spec.epsilon, same=spec.same
        )
        self.project = layer(1, inner, stage.width, stride=1)
        self.has_shortcut = stride == 1 and features_in == stage.width

    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H2 W2 D"]:
        y = x if self.expand is None else relu6(self.expand(x, train))
        y = relu6(self.depthwise(y, train))
        if train:
            y = self.project(y, train)
            return x + y if self.has_shortcut else y
        branch = self.project.branch(y)
        return modules.add_branches(branch, modules.Branch(x), activate=False) if self.has_shortcut else branch.value


class EfficientNetLite(nnx.Module):
    """An EfficientNet-Lite without its pooling and classifier."""

    targets = ("head", *NUMBERED[::-1])

    def __init__(self, spec: EfficientNetLiteSpec, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.spec = spec
        self.dtype = dtype
        layer = functools.partial(modules.ConvNorm, rngs=rngs, epsilon=spec.epsilon, same=spec.same)
        self.stem = layer(3, 3, STEM, stride=2)
        self.stages: nnx.List[nnx.List[Block]] = nnx.List([])
        features = STEM
        for stage in spec.stages:
            blocks: nnx.List[Block] = nnx.List([])
            for i in range(stage.depth):
                blocks.append(Block(features, stage, 1 if i else stage.stride, spec, rngs))
                features = stage.width
            self.stages.append(blocks)
        self.head = layer(1, features, HEAD, stride=1)

    @property
    def taps(self) -> tuple[str, ...]:
        return self.spec.taps

    @property
    def tap_widths(self) -> tuple[int, ...]:
        return tuple(self.spec.widths[tap] for tap in self.spec.taps)

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Its parts from the images up: names, and how the paths of their arrays begin."""
        paths = {"stem": "stem"} | {name: f"stages.{i}" for i, name in enumerate(NUMBERED)} | {"head": "head"}
        return {name: (path,) for name, path in paths.items()}

    @property
    def smallest_image(self) -> int:
        return 1

    def features(self, images: Float[Array, "B H W 3"], train: bool = False) -> dict[str, Array]:
        """Return every named feature map, in the compute dtype."""
        images = images.astype(self.dtype)
        early = self._early_stages(images, train) if train else modules.map_in_cache(self._early_stages, images)
        return early | self._late_stages(early[NUMBERED[EARLY - 1]], EARLY, train)

    def _early_stages(self, images: Float[Array, "B H W 3"], train: bool = False) -> dict[str, Array]:
        """Return the feature maps of the stem and the early stages."""
        x = relu6(self.stem(images, train))
        return {"stem": x} | self._stages(x, range(EARLY), train)

    def _late_stages(self, x: Float[Array, "B H W C"], first: int, train: bool) -> dict[str, Array]:
        """Return the feature maps after the `first` stages, up to the head."""
        features = self._stages(x, range(first, len(self.stages)), train)
        return features | {"head": relu6(self.head(features.get(NUMBERED[-1], x), train))}

    def _stages(self, x: Float[Array, "B H W C"], numbers: range, train: bool) -> dict[str, Array]:
        """Return the feature maps of some stages, one after the other."""
        features = {}
        for i in numbers:
            for block in self.stages[i]:
                x = block(x, train)
            features[NUMBERED[i]] = x
        return features

    def replace(self, features: dict[str, Array], target: str, feature_map: Array) -> dict[str, Array]:
        """Return `features` with `target` set to `feature_map`, and all that follows from it."""
        features = features | {target: feature_map}
        if target == "head":
            return features
        first = NUMBERED.index(target) + 1 if target in NUMBERED else 0
        return features | self._late_stages(feature_map.astype(self.dtype), first, train=False)
