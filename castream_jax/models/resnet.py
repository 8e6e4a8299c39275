"""ResNet (He et al., 2015) in torchvision's layout: the 3x3 of a bottleneck carries the stride.

So are ResNeXt (Xie et al., CVPR 2017), whose 3x3 is in groups, and ResNet-D (He et al., "Bag of Tricks", CVPR 2019),
with a deep stem and shortcuts that average.

Feature maps (METHOD 1): `stem`, after the stem and its max-pool, and `stage1` to `stage4`.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.models.kernels.convolution import average_pool, max_pool
from castream_jax.models.layers import modules


@dataclass(frozen=True)
class Stem:
    """The first convolution: kernel size, stride, and whether a 3x3 max-pool of stride 2 follows."""

    size: int
    stride: int
    pool: bool
    deep: bool = False
    """Three convolutions of that size in place of one; the first has the stride, the first two half the channels."""


@dataclass(frozen=True)
class ResNetSpec:
    """What tells one ResNet from another."""

    depths: tuple[int, ...]
    bottleneck: bool
    widths: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    stem: Stem = Stem(size=7, stride=2, pool=True)
    inner: int = 1
    """How many times wider the 3x3 of a bottleneck is (Wide ResNet, ResNeXt)."""
    groups: int = 1
    """Of channels, which the 3x3 of a bottleneck convolves apart from each other (ResNeXt's cardinality)."""
    padded: bool = False
    """Shortcuts that change the shape take every second position, between channels of zeros (option A: CIFAR)."""
    averaged: bool = False
    """Shortcuts that change the shape average the positions under a stride before their 1x1 (ResNet-D)."""

    @property
    def expansion(self) -> int:
        return 4 if self.bottleneck else 1


def _cifar(depth: int) -> ResNetSpec:
    """Return a network for images of 32 pixels (He et al., section 4.2): three stages of `depth` blocks, 3x3 stem."""
    stem = Stem(size=3, stride=1, pool=False)
    return ResNetSpec((depth,) * 3, False, widths=(16, 32, 64), strides=(1, 2, 2), stem=stem, padded=True)


DEEP = Stem(size=3, stride=2, pool=True, deep=True)

SPECS = {
    "resnet18": ResNetSpec((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetSpec((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetSpec((3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetSpec((3, 4, 23, 3), bottleneck=True),
    "resnet152": ResNetSpec((3, 8, 36, 3), bottleneck=True),
    "wide_resnet50_2": ResNetSpec((3, 4, 6, 3), bottleneck=True, inner=2),
    "wide_resnet101_2": ResNetSpec((3, 4, 23, 3), bottleneck=True, inner=2),
    "resnext50_32x4d": ResNetSpec((3, 4, 6, 3), bottleneck=True, inner=2, groups=32),
    "resnext101_32x8d": ResNetSpec((3, 4, 23, 3), bottleneck=True, inner=4, groups=32),
    "resnext101_64x4d": ResNetSpec((3, 4, 23, 3), bottleneck=True, inner=4, groups=64),
    "resnet18d": ResNetSpec((2, 2, 2, 2), bottleneck=False, stem=DEEP, averaged=True),
    "resnet34d": ResNetSpec((3, 4, 6, 3), bottleneck=False, stem=DEEP, averaged=True),
    "resnet50d": ResNetSpec((3, 4, 6, 3), bottleneck=True, stem=DEEP, averaged=True),
    "resnet101d": ResNetSpec((3, 4, 23, 3), bottleneck=True, stem=DEEP, averaged=True),
    **{f"cifar_resnet{6 * depth + 2}": _cifar(depth) for depth in (3, 5, 7, 9)},
    # For images of about 100 pixels: stride 16 in all instead of 32, so that 96 pixels end in a 6x6 map.
    "resnet18_small": ResNetSpec(
        (2, 2, 2, 2),
        bottleneck=False,
        widths=(16, 32, 64, 128),
        strides=(1, 2, 2, 1),
        stem=Stem(size=5, stride=4, pool=False),
    ),
}


class DeepStem(nnx.Module):
    """Three convolutions in place of a stem's one (ResNet-D)."""

    def __init__(self, stem: Stem, width: int, rngs: nnx.Rngs):
        self.convs: nnx.List[modules.ConvNorm] = nnx.List([])
        features = 3
        for features_out, stride in ((width // 2, stem.stride), (width // 2, 1), (width, 1)):
            self.convs.append(modules.ConvNorm(stem.size, features, features_out, stride=stride, rngs=rngs))
            features = features_out

    def __call__(self, x: Float[Array, "B H W 3"], train: bool) -> Float[Array, "B H2 W2 C"]:
        for conv in self.convs[:-1]:
            x = jax.nn.relu(conv(x, train))
        return self.convs[-1](x, train)


class AveragedShortcut(nnx.Module):
    """An average over the positions under a stride, then a 1x1 (ResNet-D)."""

    def __init__(self, features_in: int, features_out: int, stride: int, rngs: nnx.Rngs):
        self.conv = modules.ConvNorm(1, features_in, features_out, stride=1, rngs=rngs)
        self.stride = stride

    def branch(self, x: Float[Array, "B H W C"]) -> modules.Branch:
        """Return the 1x1 of the averages, with what is left of its normalisation."""
        return self.conv.branch(average_pool(x, self.stride))

    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H2 W2 D"]:
        return self.conv(average_pool(x, self.stride), train)


class Block(nnx.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 (bottleneck), and a shortcut."""

    def __init__(self, features_in: int, width: int, stride: int, spec: ResNetSpec, rngs: nnx.Rngs):
        if spec.bottleneck:
            inner = spec.inner * width
            # Kernel size, features, stride, groups.
            shapes = [(1, inner, 1, 1), (3, inner, stride, spec.groups), (1, 4 * width, 1, 1)]
        else:
            shapes = [(3, width, stride, 1), (3, width, 1, 1)]
        self.convs: nnx.List[modules.ConvNorm] = nnx.List([])
        features = features_in
        for size, features_out, conv_stride, groups in shapes:
            self.convs.append(
                modules.ConvNorm(size, features, features_out, stride=conv_stride, groups=groups, rngs=rngs)
            )
            features = features_out
        changes_shape = stride != 1 or features != features_in
        shortcut: modules.ConvNorm | AveragedShortcut | None = None
        if changes_shape and spec.averaged:
            shortcut = AveragedShortcut(features_in, features, stride, rngs)
        elif changes_shape and not spec.padded:
            shortcut = modules.ConvNorm(1, features_in, features, stride=stride, rngs=rngs)
        self.shortcut = shortcut
        self.padding = (stride, features - features_in) if changes_shape and shortcut is None else None

    def __call__(self, x: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H2 W2 D"]:
        y = x
        for conv in self.convs[:-1]:
            y = jax.nn.relu(conv(y, train))
        if self.padding is not None:
            stride, missing = self.padding
            x = jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))
        if train:
            return jax.nn.relu(self.convs[-1](y, train) + (x if self.shortcut is None else self.shortcut(x, train)))
        shortcut = modules.Branch(x) if self.shortcut is None else self.shortcut.branch(x)
        return modules.add_branches(self.convs[-1].branch(y), shortcut)


class ResNet(nnx.Module):
    """A ResNet without its pooling and classifier."""

    def __init__(self, spec: ResNetSpec, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.spec = spec
        self.dtype = dtype
        self.stem = (
            DeepStem(spec.stem, spec.widths[0], rngs)
            if spec.stem.deep
            else modules.ConvNorm(spec.stem.size, 3, spec.widths[0], stride=spec.stem.stride, rngs=rngs)
        )
        self.stages: nnx.List[nnx.List[Block]] = nnx.List([])
        features = spec.widths[0]
        for depth, width, stride in zip(spec.depths, spec.widths, spec.strides, strict=True):
            stage: nnx.List[Block] = nnx.List([])
            for i in range(depth):
                stage.append(Block(features, width, stride if i == 0 else 1, spec, rngs))
                features = width * spec.expansion
            self.stages.append(stage)

    @property
    def taps(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{number}" for number in range(1, len(self.spec.depths) + 1)))

    @property
    def targets(self) -> tuple[str, ...]:
        return self.taps[:0:-1]

    @property
    def tap_widths(self) -> tuple[int, ...]:
        return (self.spec.widths[0], *(width * self.spec.expansion for width in self.spec.widths))

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Its parts from the images up: names, and how the paths of their arrays begin."""
        return {tap: (f"stages.{i - 1}",) if i else ("stem",) for i, tap in enumerate(self.taps)}

    @property
    def smallest_image(self) -> int:
        return 1

    def features(self, images: Float[Array, "B H W 3"], train: bool = False) -> dict[str, Array]:
        """Return every named feature map, in the compute dtype."""
        images = images.astype(self.dtype)
        early = self._early_stages(images, train) if train else modules.map_in_cache(self._early_stages, images)
        return early | self._stages(early[self.taps[modules.EARLY]], range(modules.EARLY, len(self.stages)), train)

    def _early_stages(self, images: Float[Array, "B H W 3"], train: bool = False) -> dict[str, Array]:
        """Return the feature maps of the stem and the early stages."""
        x = jax.nn.relu(self.stem(images, train))
        if self.spec.stem.pool:
            x = max_pool(x)
        return {"stem": x} | self._stages(x, range(modules.EARLY), train)

    def _stages(self, x: Float[Array, "B H W C"], numbers: range, train: bool) -> dict[str, Array]:
        """Return the feature maps of some stages, one after the other."""
        features = {}
        for i in numbers:
            for block in self.stages[i]:
                x = block(x, train)
            features[self.taps[i + 1]] = x
        return features

    def replace(self, features: dict[str, Array], target: str, feature_map: Array) -> dict[str, Array]:
        """Return `features` with `target` set to `feature_map`, and the stages after it computed from that."""
        following = range(self.taps.index(target), len(self.stages))
        return features | {target: feature_map} | self._stages(feature_map.astype(self.dtype), following, train=False)
