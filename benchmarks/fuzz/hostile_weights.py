"""Weights that somebody made to do harm, or that no program should take."""

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.weight_files import (
    INDEX,
    describe,
    legacy_head,
    make_arrays,
    write_legacy,
    write_raw,
    write_safetensors,
    write_shards,
    write_zip,
)
from tests.weights.archives import REBUILD, Built, Call, Name, encode, pickled, storage, tensor, write

Writer = Callable[[Path], Path | str]
"""Writes files into a folder and returns what to read."""
MARK = "was-run"
"""A file in the current folder that a pickle would make."""
SMALL = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}

CALLS = {
    "os.system": Call(Name("os", "system"), (f"touch {MARK}",)),
    "posix.system": Call(Name("posix", "system"), (f"touch {MARK}",)),
    "subprocess": Call(Name("subprocess", "Popen"), (["touch", MARK],)),
    "exec": Call(Name("builtins", "exec"), (f"open({MARK!r}, 'w')",)),
    "eval": Call(Name("__builtin__", "eval"), (f"open({MARK!r}, 'w')",)),
    "open": Call(Name("io", "open"), (MARK, "w")),
    "getattr": Call(Call(Name("builtins", "getattr"), (Name("os", "system"), "__call__")), (f"touch {MARK}",)),
    "an import": Call(Name("importlib", "import_module"), ("antigravity",)),
    "a dotted name": Call(Name("torch._utils", "_rebuild_tensor_v2.__globals__"), ()),
    "a class": Call(Name("torch.nn.modules.linear", "Linear"), (2, 3)),
    "numpy's objects": Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"Cb.")),
    "a state": Built(Call(Name("argparse", "Namespace"), ()), {"__class__": Name("os", "system")}),
    "a defaultdict": Call(Name("collections", "defaultdict"), (Name("os", "getcwd"),)),
    "torch.load": Call(Name("torch.serialization", "load"), (MARK,)),
    "a long name": Name("torch", "x" * 100_000),
    "an escape": Name("torch", "x\x1b[31mred"),
}
"""What a pickle may say beside tensors: each must be refused, or passed over and never run."""

PICKLES = {
    "lists that double": b"\x80\x02]q\x00K\x01a" + b"](h\x00h\x00eq\x00" * 60 + b".",
    "one list in itself": b"\x80\x02](" + b"K\x00" * 100_000 + b"eq\x00" + b"(h\x00t" * 100_000 + b".",
    "tuples that double": b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 100 + b".",
    "a key that doubles": b"\x80\x02}" + encode("a") + b"q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"K\x01s.",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "a dict in itself": b"\x80\x02}q\x00" + encode("state_dict") + b"h\x00s.",
    "deep": b"\x80\x02" + b"](" * 200_000 + b"e" * 200_000 + b".",
    "deep tuples": b"\x80\x02" + b")" + b"\x85" * 500_000 + b".",
    "deep wrappers": b"\x80\x02" + b"}" + (encode("model") + b"}") * 50_000 + b"s" * 50_000 + b".",
    "a huge number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
    "a huge text": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
    "a huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"}.",
    "a huge memo": b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".",
    "a number of 4 MB": b"\x80\x02}" + encode("a") + b"\x8b" + struct.pack("<i", 1 << 22) + b"\x7f" * (1 << 22) + b"s.",
    "a text of 4 MB as number": b"\x80\x02L" + b"9" * (1 << 22) + b"L\n.",
    "marks alone": b"\x80\x02" + b"(" * 1_000_000 + b".",
    "nothing": b"",
    "a stop": b".",
    "no stop": b"\x80\x02}",
    "another object after it": pickled(describe(SMALL, False))[:-1] + b"0}.",
    "protocol 255": b"\x80\xff}.",
    "a persistent text": b"\x80\x02Pos.system\n.",
    "an instance": b"\x80\x02(S'touch was-run'\nios\nsystem\n.",
    "an object": b"\x80\x02cos\nsystem\n(S'touch was-run'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "keys that are tuples": pickled({"a": 1})[:-1] + encode((1, 2)) + b"K\x01s.",
}
COPY = {
    "torch.Size": b"ctorch\nSize\nq\x01",
    "OrderedDict": b"ccollections\nOrderedDict\nq\x01",
}
"""What a pickle may call that copies a list."""


def copies(function: bytes, is_dict: bool) -> bytes:
    """Return a pickle of 600 kB that copies one long list over and over."""
    entries = b"".join(b"K\x00" if not is_dict else b"J%bK\x00\x86" % struct.pack("<i", i) for i in range(40_000))
    return b"\x80\x02](](" + entries + b"eq\x00" + function + b"h\x01h\x00\x85R" * 40_000 + b"e."


TENSORS: dict[str, Any] = {
    "beyond its storage": tensor((25,), (1,)),
    "a huge offset": tensor((1,), (1,), offset=2**62),
    "a negative offset": tensor((1,), (1,), offset=-1),
    "a negative size": tensor((-1,), (1,)),
    "a negative stride": tensor((24,), (-1,), offset=23),
    "a huge view of one number": tensor((2**40, 2**20), (0, 0)),
    "sizes that overflow": tensor((2**33, 2**33), (0, 0)),
    "a size that overflows, and none": tensor((2**62, 2**62, 0), (1, 1, 1)),
    "a hundred dimensions": tensor((1,) * 100, (1,) * 100),
    "a storage larger than its bytes": tensor((2,), (1,), of=storage(2**40)),
    "a storage of another file": tensor((2,), (1,), of=storage(24, key="../../../etc/passwd")),
    "no such storage": tensor((2,), (1,), of=storage(24, "Float128Storage")),
    "sizes that are floats": tensor((2.0, 3.0), (3, 1)),
    "sizes that are truth values": tensor((True, True), (1, 1)),
    "a storage that is a number": Call(REBUILD, (7, 0, (1,), (1,), False, {})),
}


def hostile_zip(name: str, pickle: bytes) -> Writer:
    """Return the writer of an archive with a pickle."""
    return lambda folder: write(folder / f"{len(name)}.pth", pickle)


def hostile_legacy(pickle: bytes) -> Writer:
    """Return the writer of a file in torch's former format with a pickle."""
    return lambda folder: write_legacy(folder / "legacy.pth", SMALL, pickle)


def pad_entries(folder: Path) -> Path:
    """Write an archive of very many entries."""
    entries = {f"data/{number}": b"" for number in range(20_000)}
    return write(folder / "many.pth", pickled({}), entries)


def bomb(folder: Path) -> Path:
    """Write an archive that is compressed, of zeros."""
    return write(folder / "bomb.pth", pickled({}), {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)


def lie_about_size(folder: Path) -> Path:
    """Write an archive whose directory claims that an entry has four gigabytes."""
    path = write_zip(folder / "lie.pth", SMALL)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 28] = b"\xfe\xff\xff\xff" * 2
    path.write_bytes(content)
    return path


def many_names(count: int, name: str = "layer.{}.weight") -> Writer:
    """Return the writer of a file with very many arrays."""
    return lambda folder: write_safetensors(
        folder / "many.safetensors", {name.format(number): np.zeros(1, np.float32) for number in range(count)}
    )


ARCHIVES: dict[str, Writer] = {
    "entries without end": pad_entries,
    "compressed": bomb,
    "a size that lies": lie_about_size,
    "entries outside": lambda folder: write(folder / "x.pth", pickled({}), {"../../../tmp/x": b"1"}),
    "legacy of another version": lambda folder: write_legacy(folder / "x.pth", SMALL, head=legacy_head(1000)),
    "legacy, big-endian": lambda folder: write_legacy(
        folder / "x.pth", SMALL, head=legacy_head(little_endian=False)
    ),
    "legacy without storages": lambda folder: write_legacy(folder / "x.pth", {}, pickled(describe(SMALL, True))),
    "legacy magic alone": lambda folder: write_legacy(folder / "x.pth", {}, b"", head=legacy_head()[:15]),
}


def entry(dtype: str, shape: Any, start: Any, stop: Any) -> dict[str, Any]:
    """Return an array as a safetensors header describes it."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def raw(header: Any, payload: bytes = bytes(24), length: int | None = None) -> Writer:
    """Return the writer of a safetensors file with a header."""
    return lambda folder: write_raw(folder / "x.safetensors", header, payload, length)


HEADERS: dict[str, Writer] = {
    **{
        f"dtype {dtype}": raw({"a": entry(dtype, [24 // size], 0, 24)})
        for dtype, size in (("F8_E4M3", 1), ("F8_E5M2", 1), ("F8_E8M0", 1), ("C64", 8), ("U128", 8), ("x", 1))
    },
    "dtype F4": raw({"a": entry("F4", [48], 0, 24)}),
    "dtype F6_E2M3": raw({"a": entry("F6_E2M3", [32], 0, 24)}),
    "offsets that overlap": raw({"a": entry("F32", [4], 0, 16), "b": entry("F32", [4], 8, 24)}),
    "offsets with a hole": raw({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 16, 24)}),
    "offsets beyond the end": raw({"a": entry("F32", [6], 1000, 1024)}),
    "offsets that run back": raw({"a": entry("F32", [6], 24, 0)}),
    "huge offsets": raw({"a": entry("F32", [2**40], 0, 2**42)}),
    "offsets below zero": raw({"a": entry("F32", [6], -24, 0)}),
    "a shape that overflows": raw({"a": entry("F32", [2**62, 2**62], 0, 24)}),
    "a shape that overflows to none": raw({"a": entry("F32", [2**63, 2], 0, 0)}, b""),
    "a shape below zero": raw({"a": entry("F32", [-6], 0, 24)}),
    "a shape of fractions": raw({"a": entry("F32", [6.0], 0, 24)}),
    "a hundred dimensions": raw({"a": entry("F32", [1] * 99 + [6], 0, 24)}),
    "a header of 2**63 bytes": raw({}, length=2**63),
    "a header of 90 MB that is not there": raw({}, length=90_000_000),
    "a header of no bytes": raw({}, length=0),
    "a header that nests": raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a header that is a list": raw([1, 2]),
    "a header that is no JSON": raw(b"{'a': 1}"),
    "a header that is no UTF-8": raw(b'{"\xff": 1}'),
    "a header of NaN": raw(b'{"a": NaN}'),
    "a name twice": raw(b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"a":{"dtype":"F32","shape":[3],'
                        b'"data_offsets":[0,12]}}'),
    "a name of 10,000 letters": raw({"x" * 10_000: entry("F32", [6], 0, 24)}),
    "a name with an escape": raw({"x\x1b[31mred\n": entry("F32", [6], 0, 24)}),
    "a name that is empty": raw({"": entry("F32", [6], 0, 24)}),
    "metadata of numbers": raw({"__metadata__": {"a": 1}, "a": entry("F32", [6], 0, 24)}),
    "bytes after the end": raw({"a": entry("F32", [6], 0, 24)}, bytes(100)),
}  # fmt: skip
NAMES_WITHOUT_END: dict[str, Writer] = {
    "a hundred thousand names": many_names(100_000),
    "names that are long": many_names(1_000, "x" * 3_000 + "{}"),
    "a long name": many_names(1, "x" * 10_000),
    "names with escapes": many_names(3, "layer\x1b[31m\x07{}"),
    "names of other networks": many_names(3),
}


def sparse_safetensors(folder: Path) -> Path:
    """Write a file that is right in all but that its one array of 60 GB takes no space on the disk."""
    path = write_raw(folder / "x.safetensors", {"a": entry("F32", [SPARSE // 4], 0, SPARSE)}, b"")
    os.truncate(path, path.stat().st_size + SPARSE)
    return path


def sparse_legacy(folder: Path) -> Path:
    """Write the same in torch's former format."""
    small = {"a": np.zeros(1, np.float32)}
    pickle = pickled({"a": tensor((SPARSE // 4,), (1,), of=storage(SPARSE // 4))})
    path = write_legacy(folder / "x.pth", small, pickle.replace(encode(SPARSE // 4) + b"t", encode(SPARSE // 4) + b"Nt"))
    content = path.read_bytes()
    path.write_bytes(content[:-12] + struct.pack("<q", SPARSE // 4))
    os.truncate(path, len(content) - 4 + SPARSE)
    return path


SPARSE = 60 << 30
SPARSE_FILES: dict[str, Writer] = {"safetensors": sparse_safetensors, "legacy": sparse_legacy}


def indexed(change: Callable[[dict[str, Any]], object]) -> Writer:
    """Return the writer of a folder with shards, whose index is changed."""

    def make(folder: Path) -> Path:
        shards = write_shards(folder / "shards", make_arrays())
        (folder / "secret.safetensors").write_bytes((shards / "model-00001-of-00002.safetensors").read_bytes())
        index = json.loads((shards / INDEX).read_text())
        changed = change(index)
        (shards / INDEX).write_text(changed if isinstance(changed, str) else json.dumps(index))
        return shards

    return make


def point(file: Any) -> Writer:
    """Return the writer of a folder whose index says of one array that it is in another file."""
    return indexed(lambda index: index["weight_map"].__setitem__("scalar", file))


INDICES: dict[str, Writer] = {
    "a shard outside": point("../secret.safetensors"),
    "a shard from the root": point("/etc/passwd"),
    "a shard that is not there": point("none.safetensors"),
    "a shard that is a folder": point("."),
    "a shard that is the index": point(INDEX),
    "a shard of the hub": point("hf://owner/repo/file.safetensors"),
    "a shard that is a number": point(7),
    "a shard with NUL": point("a\0b"),
    "a shard with an escape": point("a\x1b[31mred"),
    "a shard of a long name": point("x" * 5_000),
    "a shard that has it not": point("model-00001-of-00002.safetensors"),
    "a name that no shard has": indexed(
        lambda index: index["weight_map"].__setitem__("more", "model-00001-of-00002.safetensors")
    ),
    "a name that the index has not": indexed(lambda index: index["weight_map"].pop("scalar")),
    "no weight_map": indexed(lambda index: index.pop("weight_map")),
    "a weight_map that is a list": indexed(lambda index: index.__setitem__("weight_map", [1])),
    "an empty weight_map": indexed(lambda index: index.__setitem__("weight_map", {})),
    "no JSON": indexed(lambda _: "{'a'"),
    "nested JSON": indexed(lambda _: "[" * 200_000),
    "a list": indexed(lambda _: "[]"),
    "a huge number": indexed(lambda _: "9" * 10_000),
}

ADDRESSES = (
    *("hf://", "hf://a", "hf://../..", "hf://../../etc/passwd", "hf://a/b/../../../etc/passwd", "hf://a/b/c\0d"),
    *("hf://a/b@../..", "hf://a/b/" + "x/" * 3_000, "hf://" + "a" * 5_000 + "/b", "hf://a/b/\x1b[31mred", "hf://é/b"),
    *("torchhub://", "torchhub://../../x.pth", "torchhub://a\0b", "torchhub://" + "x" * 5_000, "hf:///etc/passwd"),
    *("https://example.org/x.pth", "http://127.0.0.1:1/x.safetensors", "file:///etc/passwd", "s3://a/b", "a/b"),
    *("", ".", "/", "~", "~nobody/x.pth", "a\0b.pth", "x" * 5_000, "resnet18_small." + "x" * 5_000, "\x1b[31mred.pth"),
    *("resnet18_small.tv_in1k", "resnet18.tv_in1k", "/etc/passwd", "/proc/self/mem", "/dev/tty", os.devnull),
)
