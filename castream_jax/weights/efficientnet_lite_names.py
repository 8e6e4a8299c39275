"""Naming schemes of EfficientNet-Lite.

    ours                                    efficientnet_pytorch, and ports of it    timm
    backbone.stages.1.0.expand.kernel       _blocks.1._expand_conv.weight            blocks.1.0.conv_pw.weight
    backbone.stages.1.0.depthwise.kernel    _blocks.1._depthwise_conv.weight         blocks.1.0.conv_dw.weight
    backbone.stages.1.0.project.kernel      _blocks.1._project_conv.weight           blocks.1.0.conv_pwl.weight
    stream.projections.0.kernel             cls_stream.0.to_out.1.weight             -

A stream is named as the reference names ConvNeXt's. The first one counts the blocks of all stages, and so differs
between architectures; timm names what a first stage has instead of inverted bottlenecks otherwise.
"""

import itertools

from castream_jax.models.efficientnet_lite import SPECS
from castream_jax.weights.scheme import LINEAR, NORM, Scheme

FAMILY = "efficientnet_lite"
EXPAND, DEPTHWISE, PROJECT = (rf"backbone.stages.(\d+).(\d+).{part}" for part in ("expand", "depthwise", "project"))


def count_blocks(architecture: str) -> Scheme:
    """Return efficientnet_pytorch's naming of an architecture."""
    before = (0, *itertools.accumulate(stage.depth for stage in SPECS[architecture].stages))

    def block(stage: int, number: int) -> str:
        return f"_blocks.{before[stage] + number}"

    return Scheme(
        "efficientnet_pytorch",
        FAMILY,
        (
            (r"backbone.stem", "kernel", lambda: "_conv_stem"),
            (r"backbone.stem", NORM, lambda: "_bn0"),
            (EXPAND, "kernel", lambda s, b: f"{block(s, b)}._expand_conv"),
            (EXPAND, NORM, lambda s, b: f"{block(s, b)}._bn0"),
            (DEPTHWISE, "kernel", lambda s, b: f"{block(s, b)}._depthwise_conv"),
            (DEPTHWISE, NORM, lambda s, b: f"{block(s, b)}._bn1"),
            (PROJECT, "kernel", lambda s, b: f"{block(s, b)}._project_conv"),
            (PROJECT, NORM, lambda s, b: f"{block(s, b)}._bn2"),
            (r"backbone.head", "kernel", lambda: "_conv_head"),
            (r"backbone.head", NORM, lambda: "_bn1"),
            (r"classifier.linear", LINEAR, lambda: "_fc"),
            (r"stream.projections.(\d+)", LINEAR, lambda i: f"cls_stream.{i}.to_out.1"),
        ),
        architecture=architecture,
        has_stream=True,
    )


TIMM = Scheme(
    "timm",
    FAMILY,
    (
        (r"backbone.stem", "kernel", lambda: "conv_stem"),
        (r"backbone.stem", NORM, lambda: "bn1"),
        (EXPAND, "kernel", lambda s, b: f"blocks.{s}.{b}.conv_pw"),
        (EXPAND, NORM, lambda s, b: f"blocks.{s}.{b}.bn1"),
        (DEPTHWISE, "kernel", lambda s, b: f"blocks.{s}.{b}.conv_dw"),
        (DEPTHWISE, NORM, lambda s, b: f"blocks.{s}.{b}.{'bn2' if s else 'bn1'}"),
        (PROJECT, "kernel", lambda s, b: f"blocks.{s}.{b}.{'conv_pwl' if s else 'conv_pw'}"),
        (PROJECT, NORM, lambda s, b: f"blocks.{s}.{b}.{'bn3' if s else 'bn2'}"),
        (r"backbone.head", "kernel", lambda: "conv_head"),
        (r"backbone.head", NORM, lambda: "bn2"),
        (r"classifier.linear", LINEAR, lambda: "classifier"),
    ),
)
SCHEMES = (*map(count_blocks, SPECS), TIMM)
