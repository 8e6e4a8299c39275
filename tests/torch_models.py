"""The real models of torchvision and timm, where they are installed (`pip install -e .[torch]`)."""

import importlib.util
from types import ModuleType

import pytest


def import_torch() -> ModuleType:
    """Return torch, or skip the test and say why."""
    return pytest.importorskip("torch", reason="torch is not installed: pip install -e .[torch]")


def import_torchvision() -> ModuleType:
    """Return torchvision, or skip the test and say why."""
    torch = import_torch()
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: pip install -e .[torch]")
    if not hasattr(import_torchvision, "library"):
        # A torchvision built for CUDA imports beside a CPU torch once these two operators are declared.
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library
    return importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """Return timm, or skip the test and say why."""
    import_torchvision()  # timm imports it
    return pytest.importorskip("timm", reason="timm is not installed: pip install -e .[torch]")
