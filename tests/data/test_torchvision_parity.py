"""The same squares as torchvision's own transforms, where torchvision is installed."""

import importlib
import itertools
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from castream_jax.data.pictures.preprocess import Resize

SIDES = (2, 7, 31, 36, 37, 64, 101, 224, 375, 500)
ASPECTS = (1.0, 4 / 3, 0.618, 7.3)
SIZES = [(side, round(side * aspect)) for side, aspect in itertools.product(SIDES, ASPECTS)]
CROPS = {(32, 0): 37, (32, 32): 32, (31, 33): 33, (96, 0): 110}


@pytest.fixture(scope="module")
def transforms() -> ModuleType:
    """Return `torchvision.transforms`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_torchvision().transforms
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")


def import_torchvision() -> ModuleType:
    """Import torchvision, even where its compiled operators are of another torch; transforms do not need them."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision")


def difference(found: Image.Image, expected: Image.Image) -> int:
    assert found.size == expected.size
    return int(np.abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int)).max())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_same_squares(transforms, interpolation):
    """The largest difference over all sizes, in grey levels, is none."""
    flag = transforms.InterpolationMode(interpolation)
    rng = np.random.default_rng(0)
    differences = {}
    for width, height in SIZES:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        squash = transforms.Resize((32, 32), flag)
        differences[width, height, "squash"] = difference(Resize(32, "squash", interpolation)(image), squash(image))
        for (size, shorter_side), shorter in CROPS.items():
            crop = transforms.Compose([transforms.Resize(shorter, flag), transforms.CenterCrop(size)])
            found = Resize(size, "crop", interpolation, shorter_side)(image)
            differences[width, height, size, shorter_side] = difference(found, crop(image))
    largest = max(differences, key=differences.__getitem__)
    print(f"{interpolation}: largest of {len(differences)} differences is {differences[largest]}, of {largest}")
    assert differences[largest] == 0
