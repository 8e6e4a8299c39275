"""Where each of our arrays stands in a torch state dict: torchvision's names, and the reference's for the stream.

backbone.stages.0.1.convs.0.kernel  ->  layer1.1.conv1.weight        (ResNet)
backbone.stages.0.1.expand.kernel   ->  features.1.1.block.3.weight  (ConvNeXt)
stream.projections.0.kernel         ->  base.to_out.1.weight, cls_stream.0.to_out.1.weight
"""

import re
from collections.abc import Callable
from typing import Any

from castream_jax.models import convnext

# A rule: a pattern on our path without its leaf, the leaves it holds for, and the torch module, given the
# numbers in the path.
Rule = tuple[str, str, Callable[..., str]]

NORM = "scale|bias|mean|var"
RESNET: list[Rule] = [
    (r"backbone.stem", "kernel", lambda: "conv1"),
    (r"backbone.stem", NORM, lambda: "bn1"),
    (r"backbone.stages.(\d+).(\d+).convs.(\d+)", "kernel", lambda s, b, c: f"layer{s + 1}.{b}.conv{c + 1}"),
    (r"backbone.stages.(\d+).(\d+).convs.(\d+)", NORM, lambda s, b, c: f"layer{s + 1}.{b}.bn{c + 1}"),
    (r"backbone.stages.(\d+).(\d+).shortcut", "kernel", lambda s, b: f"layer{s + 1}.{b}.downsample.0"),
    (r"backbone.stages.(\d+).(\d+).shortcut", NORM, lambda s, b: f"layer{s + 1}.{b}.downsample.1"),
    (r"classifier.linear", "kernel|bias", lambda: "fc"),
    (r"stream.projections.(\d+)", "kernel|bias", lambda i: f"{f'l{i}' if i else 'base'}.to_out.1"),
]
CONVNEXT: list[Rule] = [
    (r"backbone.stem", "kernel|bias", lambda: "features.0.0"),
    (r"backbone.stem_norm", NORM, lambda: "features.0.1"),
    (r"backbone.downsample_norms.(\d+)", NORM, lambda i: f"features.{2 * i + 2}.0"),
    (r"backbone.downsamples.(\d+)", "kernel|bias", lambda i: f"features.{2 * i + 2}.1"),
    (r"backbone.stages.(\d+).(\d+)", "kernel|bias", lambda s, b: f"features.{2 * s + 1}.{b}.block.0"),
    (r"backbone.stages.(\d+).(\d+).norm", NORM, lambda s, b: f"features.{2 * s + 1}.{b}.block.2"),
    (r"backbone.stages.(\d+).(\d+).expand", "kernel|bias", lambda s, b: f"features.{2 * s + 1}.{b}.block.3"),
    (r"backbone.stages.(\d+).(\d+).project", "kernel|bias", lambda s, b: f"features.{2 * s + 1}.{b}.block.5"),
    (r"backbone.stages.(\d+).(\d+)", "layer_scale", lambda s, b: f"features.{2 * s + 1}.{b}"),
    (r"classifier.norm", NORM, lambda: "classifier.0"),
    (r"classifier.linear", "kernel|bias", lambda: "classifier.2"),
    (r"stream.projections.(\d+)", "kernel|bias", lambda i: f"cls_stream.{i}.to_out.1"),
]
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}
IGNORED = re.compile(r"num_batches_tracked$")  # counts training batches; momentum is fixed


def torch_key(architecture: str, path: tuple[Any, ...]) -> str:
    """Return the torch key of one of our arrays, given its path in the model's state."""
    *parents, leaf = map(str, path)
    if path == ("stream", "query"):
        return "cls_token"
    for pattern, leaves, module in CONVNEXT if architecture in convnext.SPECS else RESNET:
        match = re.fullmatch(pattern.replace(".", r"\."), ".".join(parents))
        if match and re.fullmatch(leaves, leaf):
            return f"{module(*map(int, match.groups()))}.{LEAVES[leaf]}"
    raise KeyError(f"no rule names {architecture}'s {'.'.join(map(str, path))}")
