"""Checkpoints that are published, each with what its numbers depend on: preprocessing, accuracy, digest.

Names are timm's: architecture, then who trained it on what (`tv`: torchvision's first weights, `tv2`: its second,
`fb`: facebookresearch's). torchvision's ConvNeXt weights are not on the Hugging Face hub: they are read from
torch's own cache, where torchvision puts them. Accuracies are the publishers' own, top-1 on ImageNet's
validation set with the preprocessing given here.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from castream_jax.errors import choose
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.weights.bounds import exists

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".json")
"""Of weight files: what ends so is no misspelt name."""


@dataclass(frozen=True)
class KnownWeights:
    """A published checkpoint."""

    name: str
    source: str
    """Where it is: `hf://owner/repo`, or `torchhub://file`."""
    top1: float
    """Percent."""
    preprocessing: Preprocessing
    normalisation: Normalisation = IMAGENET
    sha256: str = ""
    """Of the file, or its first digits where no more is public; empty: not public."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of WordNet for ImageNet's classes, by label."""
        return read_imagenet_classes()

    @property
    def architecture(self) -> str:
        """The `create_model` name."""
        return self.name.split(".")[0]


def _crop(shorter_side: int, interpolation: Literal["bilinear", "bicubic"]) -> Preprocessing:
    """Return what all publishers do: resize the shorter side, and crop the centre."""
    return Preprocessing(224, "crop", interpolation, shorter_side)


@functools.cache
def read_imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes in WordNet, by label: n01440764 and so on."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").split())


def _torchvision(name: str, top1: float, file: str, shorter_side: int = 256) -> KnownWeights:
    digits = file.removesuffix(".pth").split("-")[1]
    return KnownWeights(name, f"torchhub://{file}", top1, _crop(shorter_side, "bilinear"), sha256=digits)


def _hub(name: str, top1: float, shorter_side: int, interpolation: Literal["bilinear", "bicubic"]) -> KnownWeights:
    return KnownWeights(name, f"hf://timm/{name}", top1, _crop(shorter_side, interpolation))


KNOWN = {
    known.name: known
    for known in (
        _hub("resnet18.tv_in1k", 69.758, 256, "bilinear"),
        _hub("resnet34.tv_in1k", 73.314, 256, "bilinear"),
        _hub("resnet50.tv_in1k", 76.130, 256, "bilinear"),
        _hub("resnet50.tv2_in1k", 80.858, 232, "bilinear"),
        _hub("resnet101.tv_in1k", 77.374, 256, "bilinear"),
        _hub("resnet101.tv2_in1k", 81.886, 232, "bilinear"),
        _hub("resnet152.tv_in1k", 78.312, 256, "bilinear"),
        _hub("resnet152.tv2_in1k", 82.284, 232, "bilinear"),
        _torchvision("convnext_tiny.tv_in1k", 82.520, "convnext_tiny-983f1562.pth", 236),
        _torchvision("convnext_small.tv_in1k", 83.616, "convnext_small-0c510722.pth", 230),
        _torchvision("convnext_base.tv_in1k", 84.062, "convnext_base-6075fbad.pth", 232),
        _torchvision("convnext_large.tv_in1k", 84.414, "convnext_large-ea097f82.pth", 232),
        _hub("convnext_tiny.fb_in1k", 82.1, 256, "bicubic"),
        _hub("convnext_small.fb_in1k", 83.1, 256, "bicubic"),
        _hub("convnext_base.fb_in1k", 83.8, 256, "bicubic"),
        _hub("convnext_large.fb_in1k", 84.3, 256, "bicubic"),
    )
}


def find_known(weights: str, architecture: str) -> KnownWeights | None:
    """Return the published checkpoint that `weights` names, or None where it is a path or an address.

    What is there under that name is a path.

    Raises:
      InputError: it looks like a name, but there is no such checkpoint.
    """
    if exists(Path(weights).expanduser()):
        return None
    if weights in KNOWN:
        return KNOWN[weights]
    if weights.startswith(f"{architecture}.") and not weights.endswith(SUFFIXES):
        choose("weights", weights, [name for name in KNOWN if name.startswith(f"{architecture}.")])
    return None
