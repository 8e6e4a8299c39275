"""Weights from everywhere they may be, or one sentence that says why not."""

import hashlib

import chex
import huggingface_hub
import huggingface_hub.errors
import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from castream_jax import InputError, Normalisation, create_model, export_weights, load_weights
from castream_jax.checkpoints import Checkpoints
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.weights import known
from castream_jax.weights.formats import read_file
from tests import goldens
from tests.networks import small_convnext, small_resnet


def zeros_like(model):
    return jax.tree.map(np.zeros_like, model)


def assert_same_weights(model, other) -> None:
    chex.assert_trees_all_equal(nnx.state(model), nnx.state(other))


@pytest.fixture
def weight_file(tmp_path):
    """Return (a network, the file that holds its weights)."""
    model = small_resnet("gap")
    safetensors.numpy.save_file(export_weights(model), tmp_path / "weights.safetensors")
    return model, tmp_path / "weights.safetensors"


def test_a_safetensors_file(weight_file):
    model, path = weight_file
    assert_same_weights(load_weights(zeros_like(model), path), model)
    assert_same_weights(load_weights(zeros_like(model), str(path)), model)


def test_half_precision_files(tmp_path):
    model = small_resnet("gap")
    halves = {key: array.astype(np.float16) for key, array in export_weights(model).items()}
    safetensors.numpy.save_file(halves, tmp_path / "half.safetensors")
    loaded = load_weights(zeros_like(model), tmp_path / "half.safetensors")
    kernel = np.asarray(model.classifier.linear.kernel[...])
    np.testing.assert_array_equal(loaded.classifier.linear.kernel[...], kernel.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("place", ["", "checkpoints/stream"])
def test_a_checkpoint_of_ours(tmp_path, place):
    model = small_resnet("ca")
    for stage, network in (("backbone", small_resnet("gap", num_classes=3)), ("stream", model)):
        with Checkpoints(tmp_path / "checkpoints" / stage) as checkpoints:
            checkpoints.save(7, {"model": nnx.state(network)}, {})
    assert_same_weights(load_weights(zeros_like(model), tmp_path / place), model)


def test_a_directory_without_checkpoints(tmp_path):
    with pytest.raises(InputError, match="there is no checkpoint of ours in"):
        load_weights(small_resnet(), tmp_path)


def test_the_hub(weight_file, monkeypatch):
    model, path = weight_file
    asked = []

    def download(repository, name):
        asked.append((repository, name))
        if name != "pytorch_model.bin":
            raise huggingface_hub.errors.EntryNotFoundError("no such file")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert_same_weights(load_weights(zeros_like(model), "hf://owner/repo"), model)
    names = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"]
    assert asked == [("owner/repo", name) for name in names]
    with pytest.raises(InputError, match="holds no folder/other.safetensors: name its file"):
        load_weights(model, "hf://owner/repo/folder/other.safetensors")
    assert asked[-1] == ("owner/repo", "folder/other.safetensors")


def test_the_hub_offline_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="not in the local cache, and the hub cannot be reached"):
        load_weights(small_resnet(), "hf://owner/repo")


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf:///repo"])
def test_incomplete_addresses(address):
    with pytest.raises(InputError, match="expected hf://owner/repo"):
        load_weights(small_resnet(), address)


def make_known(monkeypatch, file, model, sha256: str, **changes) -> str:
    entry = known.KnownWeights(
        f"{model.name}.test", f"torchhub://{file}", 50.0, 40, "bicubic", sha256=sha256, **changes
    )
    monkeypatch.setitem(known.KNOWN, entry.name, entry)
    return entry.name


def test_known_weights_bring_their_normalisation(weight_file, monkeypatch, tmp_path):
    model, path = weight_file
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "x-1.safetensors").write_bytes(path.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    other = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = make_known(monkeypatch, "x-1.safetensors", model, digits, normalisation=other)
    loaded = load_weights(zeros_like(model), name)
    assert_same_weights(loaded, model)
    assert loaded.normalisation == other
    wrong = make_known(monkeypatch, "x-1.safetensors", model, "00000000")
    with pytest.raises(InputError, match="has sha256 .* expected 00000000…"):
        load_weights(model, wrong)


def test_a_missing_torch_cache_says_who_fills_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = small_convnext("gap")
    with pytest.raises(InputError, match="torchvision.models.convnext_tiny"):
        load_weights(model, "convnext_tiny.tv_in1k")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("resnet18_small.tv_in1k", "unknown weights 'resnet18_small.tv_in1k'"),
        ("resnet50.tv_in1k", "are of resnet50: the model is resnet18_small"),
        ("none.safetensors", "there is no weight file 'none.safetensors'"),
        ("none.pth", "there is no weight file 'none.pth'"),
    ],
)
def test_mistakes_are_named(source, said):
    with pytest.raises(InputError, match=said):
        load_weights(small_resnet("gap"), source)


def test_a_misspelt_name_is_corrected():
    with pytest.raises(InputError, match="Did you mean 'resnet50.tv2_in1k'"):
        known.find_known("resnet50.tv2_in2k", "resnet50")


def test_a_broken_file(tmp_path):
    for content in (b"", b"no weights", b"\x08\x00\x00\x00\x00\x00\x00\x00"):
        (tmp_path / "text.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="text.safetensors' is no whole .safetensors file"):
            read_file(tmp_path / "text.safetensors")


def test_a_truncated_file(weight_file, tmp_path):
    _, path = weight_file
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut.safetensors' is no whole .safetensors file"):
        read_file(tmp_path / "cut.safetensors")


def test_the_table_is_of_networks_that_exist():
    for name, entry in known.KNOWN.items():
        assert entry.name == name
        assert entry.architecture in ARCHITECTURES
        assert entry.source.startswith(("hf://timm/", "torchhub://"))
        assert entry.shorter_side >= 224


@pytest.mark.parametrize("pooling", ["gap", "ca"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "convnext_tiny"])
def test_the_golden_networks_from_a_written_file(name, pooling, tmp_path):
    """The file gives, to the bit, the networks whose logits, maps and metrics are compared with the reference's."""
    path = tmp_path / "golden.safetensors"
    safetensors.numpy.save_file(goldens.state_dict(name, pooling), path)
    expected = goldens.network(name, pooling)
    assert_same_weights(load_weights(nnx.eval_shape(lambda: create_model(name, pooling)), path), expected)
