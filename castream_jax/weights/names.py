"""Naming schemes: where each of our arrays stands in the state dicts that are found in the wild.

    ours                                torchvision, and the reference's stream    timm
    backbone.stages.0.1.convs.0.kernel  layer1.1.conv1.weight                      the same
    backbone.stages.0.1.expand.kernel   features.1.1.block.3.weight                stages.0.blocks.1.mlp.fc1.weight
    stream.projections.0.kernel         base.to_out.1.weight, cls_stream.0.to_out.1.weight

`castream_jax` is our own naming: the dotted path itself, in our own layout.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from castream_jax.errors import choose
from castream_jax.models.families import FAMILIES, find_family

# A rule: a pattern on our path without its leaf, the leaves it holds for, and the module's name, given the
# numbers in the path.
Rule = tuple[str, str, Callable[..., str]]

NORM, LINEAR = "scale|bias|mean|var", "kernel|bias"
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}
TOKEN = "cls_token"
IGNORED = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")
"""Counters of training batches (momentum is fixed) and of averaged weights."""


@dataclass(frozen=True)
class Scheme:
    """One way to name the arrays of a family of networks."""

    name: str
    family: str
    """Its key in `models.families`."""
    rules: tuple[Rule, ...]
    has_stream: bool = False
    layer_scale: str = "layer_scale"
    """The leaf that scales a ConvNeXt block's branch."""
    root: str = ""
    """What stands before the names of the trunk, and is missing where the trunk was saved alone."""

    def key(self, path: tuple[Any, ...]) -> str | None:
        """Return the key of one of our arrays, given its path; None for the stream where this scheme has none."""
        *parents, leaf = map(str, path)
        if path[0] == "stream" and not self.has_stream:
            return None
        if (*parents, leaf) == ("stream", "query"):
            return TOKEN
        for pattern, leaves, module in self.rules:
            match = re.fullmatch(pattern.replace(".", r"\."), ".".join(parents))
            if match and re.fullmatch(leaves, leaf):
                name = self.layer_scale if leaf == "layer_scale" else LEAVES[leaf]
                return f"{module(*map(int, match.groups()))}.{name}"
        raise KeyError(f"no rule of {self.name} names {'.'.join(map(str, path))}")

    def shape(self, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that this scheme gives an array of ours: OIHW for HWIO, matrices transposed."""
        if key == TOKEN:
            return (1, 1, *shape)
        if key.endswith("layer_scale"):
            return (*shape, 1, 1)
        if len(shape) == 4:
            height, width, features_in, features_out = shape
            return (features_out, features_in, height, width)
        return shape[::-1]


class OwnScheme(Scheme):
    """Our own names and layout."""

    def key(self, path: tuple[Any, ...]) -> str:
        """Return the dotted path."""
        return ".".join(map(str, path))

    def shape(self, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as it is."""
        return shape


SCHEMES = (
    Scheme(
        "torchvision",  # timm's too, for ResNet
        "resnet",
        (
            (r"backbone.stem", "kernel", lambda: "conv1"),
            (r"backbone.stem", NORM, lambda: "bn1"),
            (r"backbone.stages.(\d+).(\d+).convs.(\d+)", "kernel", lambda s, b, c: f"layer{s + 1}.{b}.conv{c + 1}"),
            (r"backbone.stages.(\d+).(\d+).convs.(\d+)", NORM, lambda s, b, c: f"layer{s + 1}.{b}.bn{c + 1}"),
            (r"backbone.stages.(\d+).(\d+).shortcut", "kernel", lambda s, b: f"layer{s + 1}.{b}.downsample.0"),
            (r"backbone.stages.(\d+).(\d+).shortcut", NORM, lambda s, b: f"layer{s + 1}.{b}.downsample.1"),
            (r"classifier.linear", LINEAR, lambda: "fc"),
            (r"stream.projections.(\d+)", LINEAR, lambda i: f"{f'l{i}' if i else 'base'}.to_out.1"),
        ),
        has_stream=True,
    ),
    Scheme(
        "torchvision",
        "convnext",
        (
            (r"backbone.stem", LINEAR, lambda: "features.0.0"),
            (r"backbone.stem_norm", NORM, lambda: "features.0.1"),
            (r"backbone.downsample_norms.(\d+)", NORM, lambda i: f"features.{2 * i + 2}.0"),
            (r"backbone.downsamples.(\d+)", LINEAR, lambda i: f"features.{2 * i + 2}.1"),
            (r"backbone.stages.(\d+).(\d+)", LINEAR, lambda s, b: f"features.{2 * s + 1}.{b}.block.0"),
            (r"backbone.stages.(\d+).(\d+).norm", NORM, lambda s, b: f"features.{2 * s + 1}.{b}.block.2"),
            (r"backbone.stages.(\d+).(\d+).expand", LINEAR, lambda s, b: f"features.{2 * s + 1}.{b}.block.3"),
            (r"backbone.stages.(\d+).(\d+).project", LINEAR, lambda s, b: f"features.{2 * s + 1}.{b}.block.5"),
            (r"backbone.stages.(\d+).(\d+)", "layer_scale", lambda s, b: f"features.{2 * s + 1}.{b}"),
            (r"classifier.norm", NORM, lambda: "classifier.0"),
            (r"classifier.linear", LINEAR, lambda: "classifier.2"),
            (r"stream.projections.(\d+)", LINEAR, lambda i: f"cls_stream.{i}.to_out.1"),
        ),
        has_stream=True,
    ),
    Scheme(
        "timm",
        "convnext",
        (
            (r"backbone.stem", LINEAR, lambda: "stem.0"),
            (r"backbone.stem_norm", NORM, lambda: "stem.1"),
            (r"backbone.downsample_norms.(\d+)", NORM, lambda i: f"stages.{i + 1}.downsample.0"),
            (r"backbone.downsamples.(\d+)", LINEAR, lambda i: f"stages.{i + 1}.downsample.1"),
            (r"backbone.stages.(\d+).(\d+)", LINEAR, lambda s, b: f"stages.{s}.blocks.{b}.conv_dw"),
            (r"backbone.stages.(\d+).(\d+).norm", NORM, lambda s, b: f"stages.{s}.blocks.{b}.norm"),
            (r"backbone.stages.(\d+).(\d+).expand", LINEAR, lambda s, b: f"stages.{s}.blocks.{b}.mlp.fc1"),
            (r"backbone.stages.(\d+).(\d+).project", LINEAR, lambda s, b: f"stages.{s}.blocks.{b}.mlp.fc2"),
            (r"backbone.stages.(\d+).(\d+)", "layer_scale", lambda s, b: f"stages.{s}.blocks.{b}"),
            (r"classifier.norm", NORM, lambda: "head.norm"),
            (r"classifier.linear", LINEAR, lambda: "head.fc"),
        ),
        layer_scale="gamma",
    ),
    Scheme(
        "facebookresearch",
        "convnext",
        (
            (r"backbone.stem", LINEAR, lambda: "downsample_layers.0.0"),
            (r"backbone.stem_norm", NORM, lambda: "downsample_layers.0.1"),
            (r"backbone.downsample_norms.(\d+)", NORM, lambda i: f"downsample_layers.{i + 1}.0"),
            (r"backbone.downsamples.(\d+)", LINEAR, lambda i: f"downsample_layers.{i + 1}.1"),
            (r"backbone.stages.(\d+).(\d+)", LINEAR, lambda s, b: f"stages.{s}.{b}.dwconv"),
            (r"backbone.stages.(\d+).(\d+).norm", NORM, lambda s, b: f"stages.{s}.{b}.norm"),
            (r"backbone.stages.(\d+).(\d+).expand", LINEAR, lambda s, b: f"stages.{s}.{b}.pwconv1"),
            (r"backbone.stages.(\d+).(\d+).project", LINEAR, lambda s, b: f"stages.{s}.{b}.pwconv2"),
            (r"backbone.stages.(\d+).(\d+)", "layer_scale", lambda s, b: f"stages.{s}.{b}"),
            (r"classifier.norm", NORM, lambda: "norm"),
            (r"classifier.linear", LINEAR, lambda: "head"),
        ),
        layer_scale="gamma",
    ),
    Scheme(
        "transformers",
        "resnet",
        (
            (r"backbone.stem", "kernel", lambda: "resnet.embedder.embedder.convolution"),
            (r"backbone.stem", NORM, lambda: "resnet.embedder.embedder.normalization"),
            (
                r"backbone.stages.(\d+).(\d+).convs.(\d+)",
                "kernel",
                lambda s, b, c: f"resnet.encoder.stages.{s}.layers.{b}.layer.{c}.convolution",
            ),
            (
                r"backbone.stages.(\d+).(\d+).convs.(\d+)",
                NORM,
                lambda s, b, c: f"resnet.encoder.stages.{s}.layers.{b}.layer.{c}.normalization",
            ),
            (
                r"backbone.stages.(\d+).(\d+).shortcut",
                "kernel",
                lambda s, b: f"resnet.encoder.stages.{s}.layers.{b}.shortcut.convolution",
            ),
            (
                r"backbone.stages.(\d+).(\d+).shortcut",
                NORM,
                lambda s, b: f"resnet.encoder.stages.{s}.layers.{b}.shortcut.normalization",
            ),
            (r"classifier.linear", LINEAR, lambda: "classifier.1"),
        ),
        root="resnet.",
    ),
    Scheme(
        "transformers",
        "convnext",
        (
            (r"backbone.stem", LINEAR, lambda: "convnext.embeddings.patch_embeddings"),
            (r"backbone.stem_norm", NORM, lambda: "convnext.embeddings.layernorm"),
            (
                r"backbone.downsample_norms.(\d+)",
                NORM,
                lambda i: f"convnext.encoder.stages.{i + 1}.downsampling_layer.0",
            ),
            (r"backbone.downsamples.(\d+)", LINEAR, lambda i: f"convnext.encoder.stages.{i + 1}.downsampling_layer.1"),
            (
                r"backbone.stages.(\d+).(\d+)",
                LINEAR,
                lambda s, b: f"convnext.encoder.stages.{s}.layers.{b}.dwconv",
            ),
            (
                r"backbone.stages.(\d+).(\d+).norm",
                NORM,
                lambda s, b: f"convnext.encoder.stages.{s}.layers.{b}.layernorm",
            ),
            (
                r"backbone.stages.(\d+).(\d+).expand",
                LINEAR,
                lambda s, b: f"convnext.encoder.stages.{s}.layers.{b}.pwconv1",
            ),
            (
                r"backbone.stages.(\d+).(\d+).project",
                LINEAR,
                lambda s, b: f"convnext.encoder.stages.{s}.layers.{b}.pwconv2",
            ),
            (r"backbone.stages.(\d+).(\d+)", "layer_scale", lambda s, b: f"convnext.encoder.stages.{s}.layers.{b}"),
            (r"classifier.norm", NORM, lambda: "convnext.layernorm"),
            (r"classifier.linear", LINEAR, lambda: "classifier"),
        ),
        layer_scale="layer_scale_parameter",
        root="convnext.",
    ),
    *(OwnScheme("castream_jax", family.key, (), has_stream=True) for family in FAMILIES),
)
OWN = OwnScheme("castream_jax", "its own", (), has_stream=True)
"""For networks of one's own, whatever they are built of."""


def list_schemes(architecture: str) -> list[Scheme]:
    """Return the schemes that name an architecture's arrays; of a network of one's own, only our own naming."""
    family = find_family(architecture)
    return [OWN] if family is None else [scheme for scheme in SCHEMES if scheme.family == family.key]


def default_scheme(architecture: str) -> str:
    """Return the name of the scheme that weights are exported in: torchvision's, or of a network of one's own ours."""
    return list_schemes(architecture)[0].name


def find_scheme(name: str, architecture: str) -> Scheme:
    """Return the scheme of that name for an architecture; `InputError` if its family has none."""
    schemes = {scheme.name: scheme for scheme in list_schemes(architecture)}
    return schemes[choose(f"naming scheme of {architecture}", name, schemes)]
