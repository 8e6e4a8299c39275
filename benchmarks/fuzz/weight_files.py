"""Writes weights as they are found: safetensors in one file or several, torch's zip format and the one before it."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors.numpy

from tests.weights import archives
from tests.weights.archives import ORDERED_DICT, REBUILD, Call, Name, Persistent, pickled

Arrays = dict[str, np.ndarray]
TORCH_DTYPES = {
    "bool": "BoolStorage",
    "uint8": "ByteStorage",
    "int64": "LongStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
}
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
LEGACY_VERSION = 1001
INDEX = "model.safetensors.index.json"


def make_arrays() -> Arrays:
    """Return a few arrays of every dtype and of odd shapes."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {
        f"layer.{dtype}.weight": (rng.normal(0, 20, (2, 3)) ** 2).astype(getattr(ml_dtypes, dtype, dtype))
        for dtype in TORCH_DTYPES
    }
    extreme = np.array([np.nan, np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    return arrays | {"scalar": np.array(7, np.int64), "empty": np.zeros((0, 3), np.float32), "extreme": extreme}


def write_safetensors(path: Path, arrays: Arrays) -> Path:
    """Write one file."""
    safetensors.numpy.save_file(arrays, path)
    return path


def write_raw(path: Path, header: Any, payload: bytes, length: int | None = None) -> Path:
    """Write a safetensors file of a header, as text or to be written as JSON, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + payload)
    return path


def write_shards(folder: Path, arrays: Arrays, count: int = 2) -> Path:
    """Write several files with their index, as the hub has them, and return the folder."""
    folder.mkdir(exist_ok=True)
    names = list(arrays)
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        own = {name: arrays[name] for name in names[shard::count]}
        write_safetensors(folder / file, own)
        weight_map |= dict.fromkeys(own, file)
    total = sum(array.nbytes for array in arrays.values())
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    return folder


def describe(arrays: Arrays, legacy: bool) -> dict[str, Any]:
    """Return what a pickle says of arrays, each the whole of a storage of its own, whose key is its place."""
    said: dict[str, Any] = {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = [int(np.prod(array.shape[axis + 1 :], dtype=int)) for axis in range(array.ndim)]
        kind = Name("torch", TORCH_DTYPES[array.dtype.name])
        identity = ("storage", kind, str(key), "cpu", array.size, *([None] if legacy else []))
        view = (Persistent(identity), 0, tuple(array.shape), tuple(strides), False, Call(ORDERED_DICT, ()))
        said[name] = Call(REBUILD, view)
    return said


def write_zip(path: Path, arrays: Arrays, pickle: bytes = b"", wrap: Any = lambda state: state) -> Path:
    """Write torch's zip format; `wrap` puts the state dict into what a training script saves."""
    pickle = pickle or pickled(wrap(describe(arrays, legacy=False)))
    entries = {f"data/{key}": array.tobytes() for key, array in enumerate(arrays.values())}
    return archives.write(path, pickle, entries)


def legacy_head(version: int = LEGACY_VERSION, little_endian: bool = True) -> bytes:
    """Return the first pickles of the format before: a number that tells it, its version, the machine's numbers."""
    system = {"protocol_version": version, "little_endian": little_endian}
    return LEGACY_MAGIC + pickled(version) + pickled(system | {"type_sizes": {"short": 2, "int": 4, "long": 4}})


def write_legacy(
    path: Path, arrays: Arrays, pickle: bytes = b"", wrap: Any = lambda state: state, head: bytes = b""
) -> Path:
    """Write the format that torch wrote before 1.6: pickles, then the keys of the storages, then their numbers."""
    pickle = pickle or pickled(wrap(describe(arrays, legacy=True)))
    content = (head or legacy_head()) + pickle + pickled([str(key) for key in range(len(arrays))])
    for array in arrays.values():
        content += struct.pack("<q", array.size) + array.tobytes()
    path.write_bytes(content)
    return path


def write_any(path: Path, arrays: Arrays, kind: str, wrap: Any = lambda state: state) -> Path:
    """Write arrays as "safetensors" (which wraps nothing), "zip", "legacy" or "shards"."""
    if kind == "safetensors":
        return write_safetensors(path.with_suffix(".safetensors"), arrays)
    if kind == "shards":
        return write_shards(path, arrays)
    return {"zip": write_zip, "legacy": write_legacy}[kind](path.with_suffix(".pth"), arrays, wrap=wrap)


def same_arrays(found: Mapping[str, Any], expected: Arrays) -> str:
    """Return where arrays differ from what they should be, to the bit; empty: nowhere."""
    if found.keys() != expected.keys():
        return f"names {sorted(found.keys() ^ expected.keys())[:5]} are there, or missing"
    for name, array in expected.items():
        other = np.asarray(found[name])
        if (other.dtype, other.shape) != (array.dtype, array.shape):
            return f"{name} is {other.dtype} {other.shape}: expected {array.dtype} {array.shape}"
        if other.tobytes() != array.tobytes():
            return f"{name} has other numbers"
    return ""
