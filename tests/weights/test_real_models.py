"""The same numbers as torchvision's, timm's and transformers' own models, with random weights, in both directions."""

import numpy as np
import pytest

from castream_jax import create_model, export_weights, load_torch_weights, load_weights
from tests.networks import forward, random_images
from tests.torch_models import build_transformers, import_timm, import_torch, import_torchvision, record_maps

RESNETS = ("resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "resnet18d", "resnet50d")
LIBRARIES = ("torchvision", "timm", "transformers")
CASES = [
    (library, name)
    for library in LIBRARIES
    for name in (*RESNETS, "convnext_tiny")
    if library == "timm" or name not in ("resnet18d", "resnet50d")
    if library != "transformers" or not name.startswith(("wide", "resnext"))
]
MAPS = [("torchvision", "resnext50_32x4d"), ("timm", "resnext50_32x4d"), ("timm", "resnet18d"), ("timm", "resnet50d")]
TOLERANCE = 1e-4  # of the logits' scale


def build(library: str, name: str, num_classes: int = 7):
    """Return a real model whose every array is random and matters."""
    torch = import_torch()
    torch.manual_seed(0)
    if library == "timm":
        model = import_timm().create_model(name, num_classes=num_classes)
    elif library == "transformers":
        model = build_transformers(name, num_classes)
    else:
        model = getattr(import_torchvision().models, name)(num_classes=num_classes)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif key.endswith("running_mean") or key.endswith("bias"):
                tensor.normal_(0, 0.2)
            elif key.endswith(("layer_scale", "gamma", "layer_scale_parameter")):
                tensor.uniform_(0.1, 0.5)
            elif tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
    return model.eval()


def pictures(size: int = 96) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, size, size + 32, 3)).astype(np.float32)


def logits_of(model, images: np.ndarray) -> np.ndarray:
    torch = import_torch()
    with torch.no_grad():
        found = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return getattr(found, "logits", found).numpy()


def assert_close(found, expected: np.ndarray) -> None:
    difference = float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())
    print(f"largest difference, of the logits' scale: {difference:.1e}")
    assert difference < TOLERANCE


@pytest.mark.parametrize(("library", "name"), CASES)
def test_their_weights_give_their_logits_here(library, name):
    theirs, images = build(library, name), pictures()
    weights = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    ours = load_torch_weights(create_model(name, "gap", num_classes=7), weights)
    assert_close(forward(ours, images)[1], logits_of(theirs, images))


@pytest.mark.parametrize(("library", "name"), CASES)
def test_our_weights_give_our_logits_there(library, name):
    torch = import_torch()
    theirs, images = build(library, name), pictures()
    weights = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    ours = load_torch_weights(create_model(name, "gap", num_classes=7), weights)
    scheme = "torchvision" if library == "timm" and name in RESNETS else library
    exported = {key: torch.from_numpy(array) for key, array in export_weights(ours, scheme).items()}
    fresh = build(library, name)
    for parameter in fresh.parameters():
        parameter.data.zero_()
    missing, unexpected = fresh.load_state_dict(exported, strict=False)
    assert unexpected == []
    assert all(key.endswith("num_batches_tracked") for key in missing)
    assert_close(logits_of(fresh, images), logits_of(theirs, images))


@pytest.mark.parametrize("size", [(224, 224), (199, 233)])
@pytest.mark.parametrize(("library", "name"), MAPS)
def test_feature_maps_of_resnext_and_resnet_d(library, name, size):
    theirs, images = build(library, name), random_images(1, *size)
    weights = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    features, found, _ = forward(load_torch_weights(create_model(name, "gap", num_classes=7), weights), images)
    logits, maps = record_maps(theirs, np.asarray(images))
    assert features.keys() == maps.keys()
    for ours, expected in ((found, logits), *((features[tap], maps[tap]) for tap in maps)):
        assert_close(ours, expected)


def test_facebooks_names_are_what_timm_takes_for_facebooks():
    """What timm takes for facebookresearch, by its own renaming, it must accept of ours."""
    torch, timm = import_torch(), import_timm()
    theirs, images = build("timm", "convnext_tiny"), pictures()
    weights = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    ours = load_torch_weights(create_model("convnext_tiny", "gap", num_classes=7), weights)
    exported = {key: torch.from_numpy(array) for key, array in export_weights(ours, "facebookresearch").items()}
    fresh = timm.create_model("convnext_tiny", num_classes=7).eval()
    fresh.load_state_dict(timm.models.convnext.checkpoint_filter_fn({"model": exported}, fresh), strict=True)
    assert_close(logits_of(fresh, images), logits_of(theirs, images))


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_a_real_pth_file(name, tmp_path):
    torch = import_torch()
    theirs = build("torchvision", name)
    torch.save({"model": theirs.state_dict(), "epoch": 3}, tmp_path / "weights.pth")
    ours = load_weights(create_model(name, "gap", num_classes=7), tmp_path / "weights.pth")
    exported = export_weights(ours)
    for key, tensor in theirs.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(exported[key], tensor.numpy())
