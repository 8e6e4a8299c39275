"""Files of torch: read exactly without torch, or refused in one sentence, and nothing in them ever runs."""

import contextlib
import io
import pickle
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from castream_jax.errors import InputError
from castream_jax.weights.formats import read_file
from castream_jax.weights.labels import Opaque
from castream_jax.weights.pickled import read_pickled
from tests.weights.archives import (
    ORDERED_DICT,
    REBUILD,
    Built,
    Call,
    Name,
    encode,
    legacy,
    pickled,
    save,
    storage,
    tensor,
    write,
)

DATA = Path(__file__).parent / "data"
THIRDS = np.arange(40, dtype=np.float64).reshape(4, 10) / 3
NUMBERS = np.arange(24, dtype=np.float32)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def refusal(path: Path) -> str:
    """Return the message with which a file is refused; it names the file and is one line."""
    with pytest.raises(InputError) as caught:
        read_file(path)
    message = str(caught.value)
    assert repr(str(path)) in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


# What torch wrote


def test_every_dtype():
    found = read_pickled(DATA / "dtypes.pth")
    dtypes = {name: np.dtype(getattr(ml_dtypes, name) if name == "bfloat16" else name) for name in found}
    assert len(dtypes) == 15
    for name, dtype in dtypes.items():
        same(found[name], THIRDS.astype(dtype))


def test_views_of_one_storage():
    found = read_pickled(DATA / "views.pth")
    whole = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    expected = {
        "whole": whole,
        "transposed": whole.transpose(2, 0, 1),
        "offset": whole[1:, 2:, 3:],
        "steps": whole[::2, ::3, ::4],
        "one": whole[2, 3, 4],
        "expanded": np.tile(whole[0, 0, :, None], (1, 7)),
        "tied": whole.reshape(60),
        "empty": np.empty((0, 3), np.float32),
        "no_dimensions": np.array(7),
        "channels_last": np.arange(48, dtype=np.float32).reshape(2, 3, 2, 4),
    }
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        same(found[name], np.asarray(array))
        assert not found[name].flags.writeable
    assert all(np.shares_memory(found["whole"], found[name]) for name in ("transposed", "offset", "steps", "tied"))


@pytest.mark.parametrize("name", ["checkpoint.pth", "protocol4.pth"])
def test_a_training_checkpoint(name):
    found = read_pickled(DATA / name)
    shapes = {"fc.weight": (2, 3), "fc.bias": (2,), "norm.weight": (2,), "norm.bias": (2,)}
    shapes |= {"norm.running_mean": (2,), "norm.running_var": (2,), "norm.num_batches_tracked": ()}
    assert list(found["model_sdict"]) == list(shapes)
    assert list(found["parameters"]) == list(shapes)[:4]
    for i, (key, shape) in enumerate(shapes.items()):
        dtype = np.int64 if key.endswith("tracked") else np.float32
        expected = (10 * i + np.arange(np.prod(shape, dtype=int))).reshape(shape).astype(dtype)
        same(found["model_sdict"][key], expected)
        if key in found["parameters"]:
            same(found["parameters"][key], expected)
    same(found["tagged"], np.array([1, 2], np.float32))
    assert found["epoch"] == 3
    settings = {"lr": 0.1, "betas": (0.9, 0.999), "nesterov": False, "name": "Été", "none": None, "empty": ()}
    assert found["settings"] == settings
    assert found["numbers"] == [0, 255, 65536, -1, 2**80, (1, 2, 3, 4), [], {}]
    assert found["size"] == (2, 3)
    (group,) = found["optimizer"]["param_groups"]
    assert (group["lr"], group["momentum"], group["params"]) == (0.1, 0.9, [0, 1, 2, 3])
    assert list(found["optimizer"]["state"]) == [0, 1, 2, 3]
    same(found["optimizer"]["state"][3]["momentum_buffer"], np.array([4, 4], np.float32))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchscript.pth", "a TorchScript program"),
        ("module.pth", "refers to torch.nn.modules.linear.Linear"),
        ("conjugated.pth", "a conjugated or negated view"),
    ],
)
def test_other_files_of_torch_are_refused(name, said):
    message = refusal(DATA / name)
    assert said in message
    assert "torch" in message


# Files that are no archives of torch


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="there is no weight file '.*none.pth'"):
        read_pickled(tmp_path / "none.pth")
    with pytest.raises(InputError, match="it is a folder"):
        read_pickled(tmp_path)


def tar_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html>", "begins with b'<!DOCTYPE html>'"),
        (b"P", "begins with b'P'"),
        (pickle.dumps({"weight": 1}), "a bare pickle"),
        (tar_archive(), "a tar archive"),
        (b"PK\x03\x04", "expected a whole zip archive"),
        (b"PK\x03\x04" + bytes(1000), "expected a whole zip archive"),
    ],
    ids=["empty", "html", "one byte", "pickle", "tar", "zip magic", "zip of zeros"],
)
def test_other_formats_are_named(tmp_path, content, said):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert said in refusal(path)


def test_every_truncation_is_noticed(tmp_path):
    whole, path = (DATA / "checkpoint.pth").read_bytes(), tmp_path / "weights.pth"
    for length in range(4, len(whole), 61):
        path.write_bytes(whole[:length])
        assert "expected a whole zip archive" in refusal(path)


def test_a_zip_archive_of_something_else(tmp_path):
    np.savez(tmp_path / "weights.npz", weight=NUMBERS)
    assert "not one of torch.save" in refusal(tmp_path / "weights.npz")
    path = tmp_path / "two.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled({}))
        archive.writestr("b/data.pkl", pickled({}))
    assert "found 2" in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused_unread(tmp_path, compression):
    path = write(tmp_path / "bomb.pth", pickled({}), {"data/0": bytes(20_000_000)}, compression)
    assert path.stat().st_size < 100_000
    assert "compressed or encrypted" in refusal(path)


def test_entries_that_claim_more_than_the_file_has(tmp_path):
    path = write(tmp_path / "weights.pth", pickled({"weight": tensor((24,), (1,))}))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"archive/data/0") - 46  # in the central directory
    struct.pack_into("<II", content, entry + 20, 2**31, 2**31)
    path.write_bytes(content)
    assert "claim" in refusal(path)


def test_two_entries_of_one_name(tmp_path):
    path = write(tmp_path / "weights.pth", pickled({}))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", pickled({"other": 1}))
    assert "the same name" in refusal(path)


def test_damaged_values_are_noticed(tmp_path):
    path = write(tmp_path / "weights.pth", pickled({"weight": tensor((24,), (1,))}))
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<f", 23), struct.pack("<f", 24)))
    assert "data/0 is damaged" in refusal(path)


@pytest.mark.parametrize("order", [b"big", b"middle", b""])
def test_byte_order(tmp_path, order):
    path = write(tmp_path / "weights.pth", pickled({}), {"byteorder": order})
    assert f"its byte order is {order!r}" in refusal(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "holds a list"),
        (tensor((24,), (1,)), "holds a ndarray"),
        ({1: 2}, "1 in it is no array"),
        ({1: tensor((24,), (1,))}, "its keys are not all names"),
        (ORDERED_DICT, "refers to collections.OrderedDict"),
    ],
)
def test_anything_but_a_dict_of_names(tmp_path, value, said):
    assert said in refusal(write(tmp_path / "weights.pth", pickled(value)))


# Views and storages by hand


def read(tmp_path: Path, value: object) -> np.ndarray:
    return read_pickled(write(tmp_path / "weights.pth", pickled({"weight": value})))["weight"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (tensor((24,), (1,)), NUMBERS),
        (tensor((2, 3), (3, 1), 18), NUMBERS[18:].reshape(2, 3)),
        (tensor((3, 2), (1, 3), 18), NUMBERS[18:].reshape(2, 3).T),
        (tensor((4,), (0,), 23), np.full(4, 23, np.float32)),
        (tensor((), (), 5), np.array(5, np.float32)),
        (tensor((2, 0), (9, 9), 100), np.empty((2, 0), np.float32)),
        (tensor((2,), (1,), of=storage(2)), NUMBERS[:2]),
        (tensor((12,), (1,), of=storage(12, "LongStorage")), NUMBERS.view(np.int64)),
        (tensor((0,), (1,), of=storage(0, key="not written")), np.empty(0, np.float32)),
        (Call(Name("torch._utils", "_rebuild_parameter"), (tensor((24,), (1,)), True, ())), NUMBERS),
    ],
)
def test_views(tmp_path, value, expected):
    same(read(tmp_path, value), expected)


def test_dicts_of_every_kind(tmp_path):
    value = {
        "pairs": Call(ORDERED_DICT, ([["a", 1], ["b", 2]],)),
        "filled": Call(ORDERED_DICT, ()),
        "state": Built(Call(ORDERED_DICT, ()), {"_metadata": {"": {"version": 1}}}),
        "nested": {1: {None: {True: [{}]}}},
    }
    assert read(tmp_path, value) == {
        "pairs": {"a": 1, "b": 2},
        "filled": {},
        "state": {},
        "nested": {1: {None: {True: [{}]}}},
    }


BEYOND = "the file is damaged or forged"
DAMAGED = "its pickle is damaged"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (tensor((25,), (1,)), BEYOND),
        (tensor((24,), (1,), 1), BEYOND),
        (tensor((2, 2), (23, 1)), BEYOND),
        (tensor((2,), (2**62,)), BEYOND),
        (tensor((2**62, 2**62), (1, 1)), BEYOND),
        (tensor((1,), (1,), 2**63 - 1), BEYOND),
        (tensor((3,), (1,), of=storage(2)), BEYOND),
        (tensor((1,), (1,), of=storage(0)), BEYOND),
        (tensor((24,), (-1,), 23), DAMAGED),
        (tensor((24,), (1,), -1), DAMAGED),
        (tensor((-1,), (1,)), DAMAGED),
        (tensor((2**64,), (0,)), DAMAGED),
        (tensor((2**62, 2**62), (0, 0)), DAMAGED),
        (tensor((10**5000,), (1,)), DAMAGED),
        (tensor((0, 2**62, 2**62), (1, 1, 1)), DAMAGED),
        (tensor((1,) * 100, (1,) * 100), DAMAGED),
        (tensor((2, 2), (1,)), DAMAGED),
        (tensor((True,), (1,)), DAMAGED),
        (tensor((1.0,), (1,)), DAMAGED),
        (tensor([24], [1]), DAMAGED),
        (tensor((24,), (1,), of="0"), DAMAGED),
        (tensor((24,), (1,), metadata={"neg": True}), "a conjugated or negated view"),
        (Call(REBUILD, ()), DAMAGED),
        (storage(25), "data/0, the values of a tensor, has 96 bytes: expected 100"),
        (storage(24, "DoubleStorage"), "has 96 bytes: expected 192"),
        (storage(2**62), "has 96 bytes: expected"),
        (storage(24, key="1"), "data/1, the values of a tensor, is missing"),
        (storage(24, key="../data/0"), "is missing"),
        (storage(24, key="/etc/passwd"), "is missing"),
        (storage(-1), DAMAGED),
        (storage(10**5000), DAMAGED),
        (storage("24"), DAMAGED),
        (storage(24, key=0), DAMAGED),
        (storage(24, "uint16"), DAMAGED),
        (storage(24, "OrderedDict"), "weight (torch.OrderedDict, not read) in it is no array"),
    ],
)
def test_no_view_leaves_its_storage(tmp_path, value, said):
    path = write(tmp_path / "weights.pth", pickled({"weight": value}))
    assert said in refusal(path)


# Malice


class Evil:
    """What `pickle` turns into a call of `os.system`."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


SYSTEM, EVAL = Name("posix", "system"), Name("builtins", "eval")


def attacks(sentinel: Path) -> dict[str, bytes]:
    """Return pickles that create a file when Python's own unpickler loads them."""
    command, source = f"touch {sentinel}", f"open({str(sentinel)!r}, 'w').close()"
    imported = Call(Name("importlib", "import_module"), ("os",))
    system, run = pickled(Call(SYSTEM, (command,))), Call(EVAL, (source,))
    return {
        "reduce": system,
        "eval": pickled(run),
        "exec": pickled(Call(Name("builtins", "exec"), (source,))),
        "getattr": pickled(Call(Call(Name("builtins", "getattr"), (imported, "system")), (command,))),
        "getoutput": pickled(Call(Name("subprocess", "getoutput"), (command,))),
        "inst": b"\x80\x02(" + encode(command) + b"iposix\nsystem\n.",
        "obj": b"\x80\x02(" + encode(SYSTEM) + encode(command) + b"o.",
        "stack_global": b"\x80\x04" + encode("posix") + encode("system") + b"\x93" + encode((command,)) + b"R.",
        "nested": b"\x80\x04" + encode(Name("_pickle", "loads")) + b"C" + bytes([len(system)]) + system + b"\x85R.",
        "dropped": b"\x80\x02" + encode(run) + b"0" + encode({}) + b".",
        "state": pickled(Built(Call(Name("types", "SimpleNamespace"), ()), {"a": run})),
        "value": pickled({"weight": [({"deep": run},)]}),
        "key": pickled({run: 1}),
        "argument": pickled(Call(ORDERED_DICT, ([["a", run]],))),
        **{f"protocol {number}": pickle.dumps({"a": Evil(command)}, number) for number in range(6)},
    }


@pytest.mark.parametrize("attack", attacks(Path()))
def test_nothing_runs(tmp_path, attack):
    sentinel = tmp_path / "ran"
    malicious = attacks(sentinel)[attack]
    pickle.loads(malicious)
    assert sentinel.exists(), "no attack at all"
    sentinel.unlink()
    refusal(write(tmp_path / "weights.pth", malicious))
    (tmp_path / "legacy.pth").write_bytes(legacy(malicious))
    refusal(tmp_path / "legacy.pth")
    (tmp_path / "bare.pth").write_bytes(malicious)
    refusal(tmp_path / "bare.pth")
    assert not sentinel.exists()


@pytest.mark.parametrize("is_legacy", [False, True])
def test_nothing_runs_beside_a_state_dict(tmp_path, is_legacy, caplog):
    """What is no tensor there is passed over, and said."""
    run = Call(SYSTEM, (f"touch {tmp_path / 'ran'}",))
    content = {"state_dict": {"a": NUMBERS}, "args": Built(run, {"lr": 0.1}), "epoch": 3, "seen": {run: 1}}
    with caplog.at_level("INFO", logger="castream_jax"):
        found = read_file(save(tmp_path / "weights.pth", content, is_legacy))
    same(found.arrays["a"], NUMBERS)
    assert "taking 'state_dict' out of state_dict, args (posix.system, not read), epoch, seen" in caplog.text
    assert not (tmp_path / "ran").exists()


REFERS = "refers to {0.module}.{0.name}: expected tensors"


@pytest.mark.parametrize(
    "name",
    [
        SYSTEM,
        EVAL,
        Name("os", "system"),
        Name("__builtin__", "eval"),
        Name("builtins", "getattr"),
        Name("builtins", "object"),
        Name("torch", "load"),
        Name("torch.serialization", "load"),
        Name("torch.hub", "load"),
        Name("torch.jit", "load"),
        Name("torch.utils.cpp_extension", "load_inline"),
        Name("torch._utils", "_import_dotted_name"),
        Name("torch._utils", "_rebuild_sparse_tensor"),
        Name("torch.nn.modules.linear", "Linear"),
        Name("torch", "nn.Module"),
        Name("torch", "_utils._rebuild_tensor_v2"),
        Name("collections", "OrderedDict.fromkeys"),
        Name("collections.OrderedDict", "__init__"),
        Name("numpy", "load"),
        Name("castream_jax.weights.pickled", "read_pickled"),
    ],
    ids=lambda name: f"{name.module}.{name.name}",
)
def test_other_names_are_not_read(tmp_path, name):
    """They are opaque, wherever they stand; a state dict cannot hold them."""
    path = tmp_path / "weights.pth"
    stack_global = b"\x80\x04" + encode(name.module) + encode(name.name) + b"\x93."
    instance = b"\x80\x02(" + f"i{name.module}\n{name.name}\n.".encode()
    made = pickled(Call(name, ("x",)))
    for pickle_ in (stack_global, instance, made, pickled({"a": tensor((), ()), "b": name})):
        assert REFERS.format(name) in refusal(write(path, pickle_))
    for value in (name, Call(name, ("x",)), Built(Call(name, ()), {"a": 1})):
        found = read_pickled(write(path, pickled({"a": value})))["a"]
        assert (type(found), found.name) == (Opaque, f"{name.module}.{name.name}")


def beside(operations: bytes) -> bytes:
    """Return a pickle of a state dict, and of what some operations put on the stack beside it."""
    return b"\x80\x04}(" + encode("state_dict") + encode({"a": tensor((24,), (1,))}) + encode("b") + operations + b"u."


NAMESPACE = encode(Name("argparse", "Namespace"))


@pytest.mark.parametrize(
    ("operations", "name"),
    [
        (NAMESPACE + b")\x81}" + encode("lr") + b"K\x01sb", "argparse.Namespace"),
        (NAMESPACE + b")}\x92", "argparse.Namespace"),
        (b"(" + NAMESPACE + b"K\x01o", "argparse.Namespace"),
        (b"(K\x01iargparse\nNamespace\n", "argparse.Namespace"),
        (
            encode(Call(Name("collections", "defaultdict"), (Name("builtins", "list"),))) + b"K\x01]s",
            "collections.defaultdict",
        ),
        (encode(Call(Name("collections", "deque"), ())) + b"K\x01a(K\x02K\x03e", "collections.deque"),
        (encode(Call(Name("torch", "device"), ("cuda",))), "torch.device"),
        (encode(Name("torch", "float32")), "torch.float32"),
        (encode(Name("torch", "FloatStorage")), "torch.FloatStorage"),
        (encode(Call(Name("pathlib", "PosixPath"), ("a", "b"))), "pathlib.PosixPath"),
        (encode(Call(Name("datetime", "datetime"), (b"C\x01a",))), "datetime.datetime"),
        (encode(Call(Name("numpy._core.multiarray", "scalar"), (None, b"C\x01a"))), "numpy._core.multiarray.scalar"),
        (encode(tensor((2,), (1,), of=storage(2, "QInt8Storage"))), "torch.QInt8Storage"),
        (
            encode(
                Call(
                    Name("torch._utils", "_rebuild_tensor_v3"),
                    (storage(2, "FloatStorage"), 0, (2,), (1,), False, (), Name("torch", "float8_e4m3fn")),
                )
            ),
            "torch.float8_e4m3fn",
        ),
        (encode(ORDERED_DICT) + b")\x81", "collections.OrderedDict"),
        (b"\x8f(K\x01K\x02\x90", "set"),
        (b"(K\x01\x91", "frozenset"),
        (b"C\x01a", "bytes"),
        (b"B\x01\x00\x00\x00a", "bytes"),
        (b"\x8e\x01" + bytes(7) + b"a", "bytes"),
        (b"\x96\x01" + bytes(7) + b"a", "bytes"),
    ],
)
def test_what_is_no_tensor_is_opaque(tmp_path, operations, name, caplog):
    with caplog.at_level("INFO", logger="castream_jax"):
        found = read_file(write(tmp_path / "weights.pth", beside(operations)))
    same(found.arrays["a"], NUMBERS)
    assert f"b ({name}, not read)" in caplog.text


@pytest.mark.parametrize("key", [(), ("a", 1), tensor((), ()), 2**61, NAMESPACE, []])
def test_keys_of_every_kind_beside_a_state_dict(tmp_path, key):
    found = read_file(write(tmp_path / "weights.pth", beside(encode({key if not isinstance(key, list) else b"]": 1}))))
    same(found.arrays["a"], NUMBERS)


def test_a_key_of_deep_tuples_is_never_hashed(tmp_path):
    found = read_file(write(tmp_path / "weights.pth", beside(b"})" + b"\x85" * 100_000 + b"Ns")))
    same(found.arrays["a"], NUMBERS)


def test_strings_of_python_2(tmp_path):
    value = {b"U\x01a": tensor((24,), (1,)), b"T\x02\x00\x00\x00" + "é".encode(): tensor((), ())}
    assert list(read_file(write(tmp_path / "weights.pth", pickled(value))).arrays) == ["a", "é"]


WEIGHT, DICT = encode(tensor((24,), (1,))), encode(ORDERED_DICT)


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (b"\x82\x01", "operation EXT1,"),
        (b"P0\n", "operation PERSID,"),
        (b"\x97", "operation NEXT_BUFFER,"),
        (WEIGHT + b")\x81", "an instance of a ndarray"),
        (b"(K\x01o", "an instance of a int"),
        (b"(o", "its pickle is damaged"),
        (b"})\x90", "its pickle is damaged"),
        (b"}(\x90", "a dict in place of a Opaque"),
        (b"I1\n", "operation INT,"),
        (WEIGHT + b")R", "a call of a ndarray"),
        (WEIGHT + b"(K\x01)K\x00tb", "a ndarray in place of a dict"),
        (DICT + b"}b", "a Constructor in place of a dict"),
        (encode(REBUILD) + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b", "a Constructor in place of a dict"),
        (b"})R", "a call of a dict"),
        (encode(Name("torch", "FloatStorage")) + b")R", "a call of a StorageType"),
        (encode(Name("torch", "uint16")) + b")R", "a call of a "),
        (DICT + b"]R", "a call of a Constructor"),
        (encode(Call(ORDERED_DICT, (tensor((2**40, 2), (0, 0)),))), "an OrderedDict of no list"),
        (encode(Call(Name("torch", "Size"), (tensor((2**40,), (0,)),))), "a torch.Size of no tuple"),
        (b"}Q", "a persistent id of another form"),
        (encode("abcde") + b"Q", "a persistent id of another form"),
        (b"", "its pickle is damaged"),
        (b"h\x07", "its pickle is damaged"),
        (b"s", "its pickle is damaged"),
        (b"t", "its pickle is damaged"),
        (b"K\x01\x93", "its pickle is damaged"),
        (b"K\x01K\x02\x93", "a name that is no string"),
        (b"K\x00a", "its pickle is damaged"),
        (b"\xff", "its pickle is damaged"),
        (b"X\xff\xff\xff\x7fa", "its pickle is damaged"),
    ],
)
def test_other_operations_are_refused(tmp_path, operations, said):
    assert said in refusal(write(tmp_path / "weights.pth", b"\x80\x02" + operations + b"."))


def test_any_bytes_for_a_pickle_are_read_or_refused(tmp_path):
    """Random changes to a real pickle never end in another error, or in an array beyond its storage."""
    rng = random.Random(0)
    with zipfile.ZipFile(DATA / "checkpoint.pth") as archive:
        entries = {name.removeprefix("checkpoint/"): archive.read(name) for name in archive.namelist()}
    whole = entries.pop("data.pkl")
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.choice([1, 2, 5])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            read_pickled(write(tmp_path / "weights.pth", bytes(changed), entries))
        except InputError:
            refused += 1
    assert 100 < refused < 300


def test_any_bytes_for_an_archive_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    whole, path = (DATA / "views.pth").read_bytes(), tmp_path / "weights.pth"
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        with contextlib.suppress(InputError):
            read_pickled(path)
