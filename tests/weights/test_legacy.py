"""The format before torch 1.6: read to the bit and as strictly as the later one, with no more memory than the file."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castream_jax import InputError
from castream_jax.weights.pickled import read_pickled
from tests.weights.archives import (
    MACHINE,
    MAGIC,
    NUMBERS,
    PROTOCOL,
    Call,
    Name,
    Persistent,
    encode,
    legacy,
    pickled,
    save,
    storage,
    tensor,
    write,
)

DATA = Path(__file__).parent / "data"
RANGE = np.arange(24, dtype=np.float32)
VALUE = {"a": tensor((24,), (1,)), "b": tensor((2, 3), (3, 1), 18)}
WHOLE = legacy(pickled(VALUE))


def read(tmp_path: Path, content: bytes):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return read_pickled(path)


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    return str(caught.value)


def legacy_storage(length: int, view: object = None, dtype: str = "FloatStorage") -> Persistent:
    """Return a reference to a storage with six parts, as the legacy format has them."""
    return Persistent(("storage", Name("torch", dtype), "0", "cuda:0", length, view))


def test_what_torch_wrote():
    np.testing.assert_array_equal(read_pickled(DATA / "legacy.pth")["weight"], np.ones(2, np.float32))


@pytest.mark.parametrize("name", ["views", "checkpoint", "dtypes"])
def test_the_same_as_the_zip_format(name):
    """Both written by torch from the same objects."""
    old, new = read_pickled(DATA / f"legacy_{name}.pth"), read_pickled(DATA / f"{name}.pth")

    def assert_same(found, expected):
        assert type(found) is type(expected)
        if isinstance(found, dict):
            assert list(found) == list(expected)
            for key in found:
                assert_same(found[key], expected[key])
        elif isinstance(found, (list, tuple)):
            assert len(found) == len(expected)
            for one, other in zip(found, expected):
                assert_same(one, other)
        elif isinstance(found, np.ndarray):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert found.tobytes() == expected.tobytes()
            assert not found.flags.writeable
        else:
            assert found == expected

    assert_same(old, new)


def test_views_share_their_storage(tmp_path):
    found = read(tmp_path, WHOLE)
    np.testing.assert_array_equal(found["a"], RANGE)
    np.testing.assert_array_equal(found["b"], RANGE[18:].reshape(2, 3))
    assert np.shares_memory(found["a"], found["b"])
    assert not found["a"].flags.writeable


def test_views_of_a_part_of_a_storage(tmp_path):
    """Before 0.4, a storage could be a part of another."""
    of = legacy_storage(24, ("1", 4, 6))
    found = read(tmp_path, legacy(pickled({"a": tensor((2, 3), (3, 1), of=of), "b": tensor((24,), (1,))})))
    np.testing.assert_array_equal(found["a"], RANGE[4:10].reshape(2, 3))
    np.testing.assert_array_equal(found["b"], RANGE)


def test_tensors_before_0_4(tmp_path):
    value = {"a": Call(Name("torch._utils", "_rebuild_tensor"), (storage(24), 2, (2,), (3,)))}
    np.testing.assert_array_equal(read(tmp_path, legacy(pickled(value)))["a"], RANGE[[2, 5]])


def test_the_source_of_a_module_is_passed_over(tmp_path):
    module = Persistent(("module", Name("torch.nn", "Linear"), "linear.py", "class Linear: ..."))
    found = read(tmp_path, legacy(pickled({"a": tensor((24,), (1,)), "class": module})))
    assert found["class"].name == "torch.nn.Linear"


BIG = MACHINE | {"little_endian": False}
LONGS = MACHINE | {"type_sizes": {"short": 2, "int": 4, "long": 8}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (legacy(pickled(VALUE), head=(MAGIC, PROTOCOL, BIG)), "another byte order"),
        (legacy(pickled(VALUE), head=(MAGIC, PROTOCOL, LONGS)), "other sizes of numbers"),
        (legacy(pickled(VALUE), head=(MAGIC, PROTOCOL, [])), "another byte order"),
        (legacy(pickled(VALUE), head=(MAGIC, 1002, MACHINE)), "protocol 1001"),
        (legacy(pickled(VALUE), head=(MAGIC + 1, PROTOCOL, MACHINE)), "a bare pickle"),
        (legacy(pickled(VALUE), head=(1.0, PROTOCOL, MACHINE)), "a bare pickle"),
        (legacy(pickled(VALUE), head=(MAGIC, PROTOCOL, {"a": storage(1)})), "a tensor before its tensors begin"),
        (legacy(pickled(VALUE), keys=[]), "list of storages"),
        (legacy(pickled(VALUE), keys=["0", "0"]), "list of storages"),
        (legacy(pickled(VALUE), keys=["1"]), "list of storages"),
        (legacy(pickled(VALUE), keys=[0]), "list of storages"),
        (legacy(pickled(VALUE), keys={"0": 1}), "list of storages"),
        (legacy(pickled(VALUE), {"0": (23, NUMBERS["0"][1])}), "not of 24 numbers"),
        (legacy(pickled(VALUE), {"0": (0, NUMBERS["0"][1])}), "not of 24 numbers"),
        (legacy(pickled(VALUE), {"0": (2**63 - 1, NUMBERS["0"][1])}), "not of 24 numbers"),
        (WHOLE + b"\0", "goes on after its last tensor"),
        (WHOLE[:-1], "ends in the middle of its tensors"),
        (WHOLE[:-96], "ends in the middle of its tensors"),
        (WHOLE[:-97], "ends in the middle of its tensors"),
        (legacy(pickled({"a": tensor((1,), (1,), of=legacy_storage(2**40))})), "more bytes than the whole file's"),
        (legacy(pickled({"a": storage(20), "b": storage(24)})), "has 80 bytes: expected 96"),
        (legacy(pickled({"a": tensor((25,), (1,))})), "damaged or forged"),
        (legacy(pickled({"a": legacy_storage(24, ("1", 20, 5))})), "a view beyond its storage"),
        (legacy(pickled({"a": legacy_storage(24, ("1", -1, 5))})), "its pickle is damaged"),
        (legacy(pickled({"a": legacy_storage(24, "12")})), "its pickle is damaged"),
        (legacy(pickled({"a": storage(24, "QInt8Storage")})), "list of storages"),
        (legacy(b"\x80\x02X\xff\xff\xff\x7fa."), "its pickle is damaged"),
        (legacy(b"\x80\x02\x8b\xff\xff\xff\x7fa."), "its pickle is damaged"),
        (legacy(b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fa."), "its pickle is damaged"),
    ],
)
def test_what_is_refused(tmp_path, content, said):
    message = refusal(tmp_path, content)
    assert said in message
    assert "weights.pth" in message


def test_storages_that_add_up_to_more_than_the_file(tmp_path):
    """Each of them could be there; all of them cannot."""
    value = {str(i): storage(100, key=str(i)) for i in range(100)}
    assert "more bytes than the whole file's" in refusal(tmp_path, legacy(pickled(value)))


def test_every_cut_is_noticed(tmp_path):
    for length in range(1, len(WHOLE)):
        refusal(tmp_path, WHOLE[:length])


def test_any_bytes_are_read_or_refused(tmp_path):
    rng, whole = random.Random(0), (DATA / "legacy_checkpoint.pth").read_bytes()
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.choice([1, 2, 5])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            read(tmp_path, bytes(changed))
        except InputError:
            refused += 1
    assert 50 < refused < 300


@settings(deadline=None, max_examples=25)
@given(
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=4),
    dtype=st.sampled_from(["float32", "float16", "float64", "int64"]),
)
def test_both_formats_give_the_same_arrays(tmp_path_factory, shapes, dtype):
    directory, rng = tmp_path_factory.mktemp("formats"), np.random.default_rng(0)
    arrays = {f"array {i}": np.asarray(100 * rng.random(shape), dtype) for i, shape in enumerate(shapes)}
    for is_legacy in (False, True):
        found = read_pickled(save(directory / "weights.pth", {"in": arrays}, is_legacy))["in"]
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found[name], array)


# Work and memory


@pytest.mark.parametrize("is_legacy", [False, True])
@pytest.mark.parametrize("copier", [Name("torch", "Size"), Name("collections", "OrderedDict")])
def test_one_list_copied_over_and_over(tmp_path, copier, is_legacy):
    """Two thousand copies of a list of a thousand, for ten bytes each."""
    pair = encode(("a", 1))
    copied = b"](" + 1000 * pair + b"eq\x01" + encode(copier) + b"q\x02"
    copies = b"](" + b"h\x02h\x01\x85R" * 2000 + b"e"
    pickle = b"\x80\x02}(" + encode("list") + copied + b"\x86" + encode("copies") + copies + b"u."
    path = tmp_path / "weights.pth"
    if is_legacy:
        path.write_bytes(legacy(pickle, {}))
    else:
        write(path, pickle)
    with pytest.raises(InputError, match="copies the same lists over and over"):
        read_pickled(path)


def test_one_list_again_and_again_without_a_copy(tmp_path):
    """Nested dicts and lists of one list are small however often they hold it."""
    nested = b"](K\x01eq\x01" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(1, 100))
    found = read_pickled(write(tmp_path / "weights.pth", b"\x80\x02}" + encode("a") + b"(" + nested + b"ts."))
    assert len(found["a"]) == 100


def test_more_operations_than_any_checkpoint_has(tmp_path, monkeypatch):
    monkeypatch.setattr("castream_jax.weights.unpickler.MOST_OPERATIONS", 100)
    with pytest.raises(InputError, match="more than 100 operations"):
        read_pickled(write(tmp_path / "weights.pth", b"\x80\x02" + b"]" * 200 + b"."))


def test_long_names_repeated_are_not_kept_whole(tmp_path):
    """A name of a megabyte that is referred to a thousand times does not become a gigabyte."""
    name = b"\x80\x04X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x01"
    found = read_pickled(write(tmp_path / "weights.pth", name + b"](" + b"h\x01h\x01\x93" * 1000 + b"e\x86."))
    assert {len(label.name) for label in found[1]} == {161}


def test_large_numbers_as_keys_are_not_hashed(tmp_path):
    """A thousand keys of one hash, which a dict would compare with each other."""
    pairs = b"".join(encode((2**61 - 1) * i) + b"N" for i in range(1000))
    found = read_pickled(write(tmp_path / "weights.pth", b"\x80\x02}(" + pairs + b"u."))
    assert len(found) == 1000
    assert sum(type(key) is int for key in found) == 1


def test_deep_nesting(tmp_path):
    found = read_pickled(write(tmp_path / "weights.pth", b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."))
    assert len(found) == 1
