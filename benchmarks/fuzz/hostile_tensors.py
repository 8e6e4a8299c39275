"""Safetensors, indices and addresses that were made to do harm, or that nothing should take."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.hostile_pickles import Writer
from benchmarks.fuzz.weight_files import INDEX, make_arrays, write_legacy, write_raw, write_safetensors, write_shards
from tests.weights.archives import encode, pickled, storage, tensor


def many_names(count: int, name: str = "layer.{}.weight") -> Writer:
    """Return the writer of a file with very many arrays."""
    return lambda folder: write_safetensors(
        folder / "many.safetensors", {name.format(number): np.zeros(1, np.float32) for number in range(count)}
    )


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
    path = write_legacy(
        folder / "x.pth", small, pickle.replace(encode(SPARSE // 4) + b"t", encode(SPARSE // 4) + b"Nt")
    )
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
