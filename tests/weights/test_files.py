"""Weights from everywhere they may be, or one sentence that says why not."""

import hashlib
import json
import os
import re
import struct

import chex
import huggingface_hub
import huggingface_hub.errors
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from castream_jax import InputError, Normalisation, Preprocessing, create_model, export_weights, load_weights
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.models.description import describe_network
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.weights import known
from castream_jax.weights.formats import DESCRIPTION, read_file
from castream_jax.weights.shards import HUB_FILES
from tests import goldens
from tests.networks import small_convnext, small_resnet
from tests.weights.archives import save


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
        f"{model.name}.test", f"torchhub://{file}", 50.0, Preprocessing(40), sha256=sha256, **changes
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
    monkeypatch.setattr(known, "read_imagenet_classes", lambda: tuple(map(str, range(model.num_classes))))
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = make_known(monkeypatch, "x-1.safetensors", model, digits, normalisation=other)
    loaded = load_weights(zeros_like(model), name)
    assert_same_weights(loaded, model)
    assert loaded.normalisation == other
    assert loaded.preprocessing == Preprocessing(40)
    assert loaded.class_names == tuple(map(str, range(model.num_classes)))
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
        assert entry.source.startswith(("hf://timm/", "torchhub://", "pypi://"))
        assert entry.preprocessing.shorter_side >= 224


@pytest.mark.parametrize("pooling", ["gap", "ca"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "convnext_tiny"])
def test_the_golden_networks_from_a_written_file(name, pooling, tmp_path):
    """The file gives, to the bit, the networks whose logits, maps and metrics are compared with the reference's."""
    path = tmp_path / "golden.safetensors"
    safetensors.numpy.save_file(goldens.state_dict(name, pooling), path)
    expected = goldens.network(name, pooling)
    assert_same_weights(load_weights(nnx.eval_shape(lambda: create_model(name, pooling)), path), expected)


# Where weights may be


def test_a_file_wins_over_a_known_name(tmp_path, monkeypatch):
    """Whatever it is called."""
    model = small_resnet("gap")
    monkeypatch.chdir(tmp_path)
    for name in ("resnet18_small.ckpt", "resnet18_small.pth.tar", "resnet18_small.best.pth", "resnet18_small.zip"):
        save(tmp_path / name, {"state_dict": export_weights(model)})
        assert_same_weights(load_weights(zeros_like(model), name), model)
    with pytest.raises(InputError, match="unknown weights 'resnet18_small.best'"):
        load_weights(model, "resnet18_small.best")
    with pytest.raises(InputError, match="there is no weight file 'resnet18_small.pth.tar2.ckpt'"):
        load_weights(model, "resnet18_small.pth.tar2.ckpt")


def test_the_home_folder(weight_file, monkeypatch):
    model, path = weight_file
    monkeypatch.setenv("HOME", str(path.parent))
    assert_same_weights(load_weights(zeros_like(model), f"~/{path.name}"), model)


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_copy_of_a_hub_s_repository(tmp_path, name):
    model = small_resnet("gap")
    write_repository(tmp_path, name, export_weights(model))
    assert_same_weights(load_weights(zeros_like(model), tmp_path), model)
    assert_same_weights(load_weights(zeros_like(model), tmp_path / name), model)


def write_repository(folder, name: str, weights) -> None:
    """Write weights under a name of the hub's, in three shards where it is an index."""

    def write(path, part):
        save(path, dict(part)) if path.suffix == ".bin" else safetensors.numpy.save_file(dict(part), path)

    if not name.endswith(".index.json"):
        write(folder / name, weights)
        return
    stem, kind = name.removesuffix(".index.json").split(".")
    files = {}
    for shard in range(3):
        file = f"{stem}-0000{shard + 1}-of-00003.{kind}"
        part = {key: array for i, (key, array) in enumerate(weights.items()) if i % 3 == shard}
        write(folder / file, part)
        files |= dict.fromkeys(part, file)
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))


def test_shards_of_the_hub(tmp_path, monkeypatch):
    model, asked = small_resnet("gap"), []
    write_repository(tmp_path, "model.safetensors.index.json", export_weights(model))

    def download(repository, name):
        asked.append(name)
        if not (tmp_path / name).exists():
            raise huggingface_hub.errors.EntryNotFoundError("no such file")
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert_same_weights(load_weights(zeros_like(model), "hf://owner/repo"), model)
    assert asked[2:] == [f"model-0000{shard}-of-00003.safetensors" for shard in (1, 2, 3)]
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        InputError, match="holds no model-00002-of-00003.safetensors, which model.safetensors.index.json"
    ):
        load_weights(model, "hf://owner/repo")


def index_of(tmp_path, content) -> str:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(InputError) as caught:
        load_weights(small_resnet("gap"), path)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("../a.safetensors", "/etc/a.safetensors", "b/a.safetensors", "b\\a.safetensors", "a\0.safetensors"),
        *("..", "", "a.pth", ".safetensors", "..safetensors"),
    ],
)
def test_an_index_names_files_beside_it_alone(tmp_path, name):
    assert "expected .safetensors files beside it, without a folder" in index_of(tmp_path, {"weight_map": {"a": name}})


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[" * 100_000, b"[]", b"{}", b"\xff\xfe", b"1" * 5000, b"null"),
        *(b'{"weight_map": []}', b'{"weight_map": {}}', b'{"weight_map": {"a": 1}}', b'{"weight_map": "a"}'),
    ],
)
def test_what_is_no_index(tmp_path, content):
    assert "is no index of shards" in index_of(tmp_path, content)


def test_shards_that_are_not_there_are_listed(tmp_path):
    files = {"a": "a.safetensors", "b": "b.safetensors", "c": "c.safetensors"}
    safetensors.numpy.save_file({"b": np.zeros(1)}, tmp_path / "b.safetensors")
    assert "not beside it: a.safetensors, c.safetensors." in index_of(tmp_path, {"weight_map": files})


@pytest.mark.parametrize("files", [{"a": 1}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2}])
def test_shards_hold_what_their_index_says(tmp_path, files):
    for shard in (1, 2):
        safetensors.numpy.save_file({"a": np.zeros(1), "b": np.zeros(1)}, tmp_path / f"{shard}.safetensors")
    named = {key: f"{shard}.safetensors" for key, shard in files.items()}
    assert "does not hold what model.safetensors.index.json says" in index_of(tmp_path, {"weight_map": named})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("timm/resnet50.a1_in1k", "give hf://timm/resnet50.a1_in1k"),
        ("microsoft/resnet-50", "give hf://microsoft/resnet-50"),
        ("https://example.org/owner/repo/blob/main/a.pth", "give hf://owner/repo; else download the file"),
        ("https://example.org/", "download the file, and give its path"),
        ("s3://bucket/a.pth", "download the file, and give its path"),
        ("hf://owner/repo/../../a.pth", "of letters, digits"),
        ("hf://../repo", "of letters, digits"),
        ("hf://owner/..", "of letters, digits"),
        ("hf://owner/a..b", "of letters, digits"),
        ("hf://owner/repo//a.pth", "of letters, digits"),
        ("hf://owner/repo/a b", "of letters, digits"),
        ("hf://owner/repo\n", "of letters, digits"),
        ("hf://owner/répo", "of letters, digits"),
        ("hf://owner/repo?revision=1", "of letters, digits"),
        (f"hf://owner/{'a' * 5000}", "at most 400 characters"),
        ("a" * 5000, "name too long"),
        (f"{'a' * 5000}.pth", "name too long"),
        ("a\0b.pth", "null"),
        ("", "it is a folder|no checkpoint"),
        ("/dev/null", "'/dev/null': it is a device"),
        ("/dev/zero", "'/dev/zero': it is a device"),
    ],
)
def test_what_is_no_place_for_weights(source, said, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(InputError, match=re.compile(said, re.IGNORECASE)) as caught:
        load_weights(small_resnet("gap"), source)
    assert len(str(caught.value)) < 1000


def test_offline_each_file_may_be_in_the_cache(weight_file, monkeypatch):
    model, path = weight_file

    def download(_, name):
        if name != "pytorch_model.bin":
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(InputError, match="the hub cannot be reached"):
        load_weights(model, "hf://owner/repo")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert_same_weights(load_weights(zeros_like(model), "hf://owner/repo"), model)


# Hostile files


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".safetensors.index.json"])
def test_files_that_are_none(tmp_path, suffix):
    pipe, sparse = tmp_path / f"pipe{suffix}", tmp_path / f"sparse{suffix}"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="it is a pipe"):
        load_weights(small_resnet("gap"), pipe)
    with sparse.open("wb") as file:
        file.truncate(60 * 2**30)
    with pytest.raises(InputError, match="bytes: at most"):
        load_weights(small_resnet("gap"), sparse)


def header(content: dict[str, object], data: bytes = b"") -> bytes:
    said = json.dumps(content).encode()
    return struct.pack("<Q", len(said)) + said + data


@pytest.mark.parametrize(
    ("dtype", "size"), [("F8_E4M3", 8), ("F8_E5M2", 8), ("F8_E8M0", 8), ("F4", 4), ("F6_E2M3", 6), ("C64", 64)]
)
def test_numbers_without_their_scales(tmp_path, dtype, size):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(header({"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, size]}}, bytes(size)))
    with pytest.raises(InputError, match=f"holds {dtype} numbers \\(a and 0 more\\)"):
        read_file(path)


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        header({"a": ONE | {"shape": [2**40]}}, bytes(8)),
        header({"a": ONE | {"shape": [2**64]}}, bytes(8)),
        header({"a": ONE | {"shape": [-1]}}, bytes(8)),
        header({"a": ONE | {"data_offsets": [0, 2**40]}}, bytes(8)),
        header({"a": ONE | {"data_offsets": [8, 0]}}, bytes(8)),
        header({"a": ONE | {"dtype": "X"}}, bytes(8)),
        header({"a" * 5000: ONE | {"dtype": "X"}}, bytes(8)),
        header({"a": ONE, "b": ONE}, bytes(8)),
        header({"a": 1}),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
)
def test_forged_safetensors(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no whole .safetensors file") as caught:
        read_file(path)
    assert len(str(caught.value)) < 1000


def test_bfloat16_in_safetensors(tmp_path):
    path = tmp_path / "weights.safetensors"
    values = np.arange(8, dtype=ml_dtypes.bfloat16)
    path.write_bytes(header({"a": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}, values.tobytes()))
    np.testing.assert_array_equal(read_file(path).arrays["a"], values)


def test_a_plain_file_has_no_average(weight_file):
    model, path = weight_file
    with pytest.raises(InputError, match="holds no moving average"):
        load_weights(model, path, average=True)


# What is known of a network beside its arrays


def test_an_export_of_ours_says_how_its_network_was_trained(tmp_path):
    model = small_resnet("gap", num_classes=4)
    model.preprocessing, model.class_names = Preprocessing(96), ("a", "b", "c", "d")
    model.normalisation = Normalisation((0.5,) * 3, (0.25,) * 3)
    path = tmp_path / "ours.safetensors"
    safetensors.numpy.save_file(
        export_weights(model), path, metadata={DESCRIPTION: json.dumps(describe_network(model))}
    )
    loaded = load_weights(small_resnet("gap", num_classes=4), path)
    assert loaded.preprocessing == model.preprocessing
    assert loaded.normalisation == model.normalisation
    assert loaded.class_names == model.class_names
    some = load_weights(small_resnet("gap", num_classes=2), path, classes=(3, 1))
    assert some.class_names == ("d", "b")
    other = load_weights(small_resnet("gap", num_classes=7), path, replace_classifier=True)
    assert other.class_names == ()
    safetensors.numpy.save_file(export_weights(model), path, metadata={DESCRIPTION: "{"})
    with pytest.raises(InputError, match="says of its network what is no JSON"):
        load_weights(model, path)


def test_a_published_checkpoint_says_its_classes_and_preprocessing():
    published = known.KNOWN["resnet50.tv2_in1k"]
    assert published.preprocessing == Preprocessing(224, "crop", "bilinear", 232)
    assert len(published.class_names) == len(set(published.class_names)) == 1000
    assert published.class_names[:2] == ("n01440764", "n01443537")  # tench, goldfish
    assert published.class_names == tuple(sorted(published.class_names))
