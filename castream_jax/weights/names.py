"""Naming schemes: where each of our arrays stands in the state dicts that are found in the wild.

    ours                                torchvision, and the reference's stream    timm
    backbone.stages.0.1.convs.0.kernel  layer1.1.conv1.weight                      the same
    backbone.stages.0.1.expand.kernel   features.1.1.block.3.weight                stages.0.blocks.1.mlp.fc1.weight
    backbone.stem.convs.2.kernel        -                                          conv1.6.weight
    stream.projections.0.kernel         base.to_out.1.weight, cls_stream.0.to_out.1.weight

`castream_jax` is our own naming: the dotted path itself, in our own layout.
"""

from castream_jax.errors import choose
from castream_jax.models import resnet
from castream_jax.models.families import FAMILIES, find_family
from castream_jax.weights import efficientnet_lite_names
from castream_jax.weights.scheme import LINEAR, NORM, OwnScheme, Scheme

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
            (r"backbone.stem.convs.(\d)", "kernel", lambda i: f"conv1.{3 * i}"),
            (r"backbone.stem.convs.(\d)", NORM, lambda i: f"conv1.{3 * i + 1}" if i < 2 else "bn1"),
            (r"backbone.stages.(\d+).(\d+).shortcut.conv", "kernel", lambda s, b: f"layer{s + 1}.{b}.downsample.1"),
            (r"backbone.stages.(\d+).(\d+).shortcut.conv", NORM, lambda s, b: f"layer{s + 1}.{b}.downsample.2"),
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
        excepted=tuple(
            name for name, spec in resnet.SPECS.items() if spec.stem.deep or spec.averaged or spec.groups > 1
        ),
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
    *efficientnet_lite_names.SCHEMES,
    *(OwnScheme("castream_jax", family.key, (), has_stream=True) for family in FAMILIES),
)
OWN = OwnScheme("castream_jax", "its own", (), has_stream=True)
"""For networks of one's own, whatever they are built of."""


def list_schemes(architecture: str) -> list[Scheme]:
    """Return the schemes that name an architecture's arrays; of a network of one's own, only our own naming."""
    family = find_family(architecture)
    if family is None:
        return [OWN]
    return [scheme for scheme in SCHEMES if scheme.family == family.key and scheme.is_for(architecture)]


def default_scheme(architecture: str) -> str:
    """Return the name of the scheme that weights are exported in: its family's first, or of one's own network ours."""
    return list_schemes(architecture)[0].name


def find_scheme(name: str, architecture: str) -> Scheme:
    """Return the scheme of that name for an architecture; `InputError` if its family has none."""
    schemes = {scheme.name: scheme for scheme in list_schemes(architecture)}
    return schemes[choose(f"naming scheme of {architecture}", name, schemes)]
