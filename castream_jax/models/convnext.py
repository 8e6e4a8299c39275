"""ConvNeXt (Liu et al., 2022) in torchvision's layout.

Feature maps: `stem`, `downsample1`, `downsample2` and `stage4` are the taps of CA-Stream. The last block is
left open: `branch` is its second pointwise layer's output, before layer scale, and
`stage4 = shortcut + layer_scale * branch`, so that an attribution can start from `branch` as the reference does.
"""

import itertools
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from castream_jax.models.kernels.convolution import per_channel
from castream_jax.models.kernels.depthwise import depthwise_convolve
from castream_jax.models.layers import modules
from castream_jax.models.layers.fresh import truncated_normal


@dataclass(frozen=True)
class ConvNeXtSpec:
    """What tells one ConvNeXt from another."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]


SPECS = {
    "convnext_tiny": ConvNeXtSpec((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": ConvNeXtSpec((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": ConvNeXtSpec((3, 3, 27, 3), (128, 256, 512, 1024)),
    "convnext_large": ConvNeXtSpec((3, 3, 27, 3), (192, 384, 768, 1536)),
}


class Block(nnx.Module):
    """7x7 depthwise convolution, layer normalisation, and a pointwise MLP, scaled and added to the input."""

    def __init__(self, features: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.kernel = nnx.Param(truncated_normal(rngs.params(), (7, 7, 1, features)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.norm = modules.layer_norm(features, dtype, rngs)
        self.expand = modules.linear(features, 4 * features, dtype, rngs)
        self.project = modules.linear(4 * features, features, dtype, rngs)
        self.layer_scale = nnx.Param(jnp.full(features, 1e-6))

    def branch(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Return what the block computes, before layer scale and shortcut."""
        y = depthwise_convolve(x, self.kernel[...]) + per_channel(self.bias[...]).astype(x.dtype)
        return self.project(modules.gelu(self.expand(self.norm(y))))

    def join(self, shortcut: Float[Array, "B H W C"], branch: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Return the block's output from its two halves."""
        return shortcut + per_channel(self.layer_scale[...]).astype(branch.dtype) * branch

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        return self.join(x, self.branch(x))


class ConvNeXt(nnx.Module):
    """A ConvNeXt without its pooling and classifier."""

    taps = ("stem", "downsample1", "downsample2", "stage4")
    targets = ("branch", "stage4", "downsample2", "downsample1")

    def __init__(self, spec: ConvNeXtSpec, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.spec = spec
        self.dtype = dtype
        widths = spec.widths
        self.stem = modules.Conv(4, 3, widths[0], stride=4, rngs=rngs)
        self.stem_norm = modules.layer_norm(widths[0], dtype, rngs)
        self.downsample_norms = nnx.List([modules.layer_norm(width, dtype, rngs) for width in widths[:-1]])
        self.downsamples = nnx.List(
            [modules.Conv(2, before, after, stride=2, rngs=rngs) for before, after in itertools.pairwise(widths)]
        )
        self.stages = nnx.List(
            [
                nnx.List([Block(width, dtype, rngs) for _ in range(depth)])
                for width, depth in zip(widths, spec.depths, strict=True)
            ]
        )

    @property
    def tap_widths(self) -> tuple[int, ...]:
        return self.spec.widths

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Its parts from the images up: names, and how the paths of their arrays begin."""
        parts: dict[str, tuple[str, ...]] = {"stem": ("stem", "stem_norm"), "stage1": ("stages.0",)}
        for i in range(1, len(self.stages)):
            parts[f"stage{i + 1}"] = (f"downsamples.{i - 1}", f"downsample_norms.{i - 1}", f"stages.{i}")
        return parts

    @property
    def smallest_image(self) -> int:
        return 32

    def features(self, images: Float[Array, "B H W 3"], train: bool = False) -> dict[str, Array]:
        """Return every named feature map, in the compute dtype; `train` changes none: there are no statistics."""
        images = images.astype(self.dtype)
        early = self._early_stages(images) if train else modules.map_in_cache(self._early_stages, images)
        return early | self._late_stages(early[f"downsample{modules.EARLY}"], modules.EARLY)

    def _early_stages(self, images: Float[Array, "B H W 3"]) -> dict[str, Array]:
        """Return the feature maps of the stem and the early stages."""
        x = self.stem_norm(self.stem(images))
        return {"stem": x} | self._stages(x, range(modules.EARLY))

    def _late_stages(self, x: Float[Array, "B H W C"], first: int) -> dict[str, Array]:
        """Return the feature maps after the `first` stage and those that follow it; the last block stays open."""
        features = self._stages(x, range(first, len(self.stages) - 1))
        x = features.get(f"downsample{len(self.stages) - 1}", x)
        *blocks, last = self.stages[-1]
        for block in blocks:
            x = block(x)
        return self.replace(features | {"shortcut": x}, "branch", last.branch(x))

    def _stages(self, x: Float[Array, "B H W C"], numbers: range) -> dict[str, Array]:
        """Return the feature maps after some stages, one after the other, each with its downsampling."""
        features = {}
        for i in numbers:
            for block in self.stages[i]:
                x = block(x)
            features[f"downsample{i + 1}"] = x = self.downsamples[i](self.downsample_norms[i](x))
        return features

    def replace(self, features: dict[str, Array], target: str, feature_map: Array) -> dict[str, Array]:
        """Return `features` with `target` set to `feature_map`, and all that follows from it."""
        features = features | {target: feature_map}
        if target == "branch":
            last = self.stages[-1][-1]
            features["stage4"] = last.join(features["shortcut"], feature_map)
        elif target.startswith("downsample"):
            number = int(target.removeprefix("downsample"))
            features |= self._late_stages(feature_map.astype(self.dtype), number)
        return features
