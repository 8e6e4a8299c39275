"""Writes `.pth` files without torch: a small pickler for torch's conventions, and both formats around it."""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Name:
    """A class or function."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """A function and what it is called with."""

    function: Any
    arguments: Any


@dataclass(frozen=True)
class Persistent:
    """What torch keeps outside the pickle."""

    identity: Any


@dataclass(frozen=True)
class Built:
    """A value, and the state that it is given after it was made."""

    value: Any
    state: Any


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
ORDERED_DICT = Name("collections", "OrderedDict")


def storage(length: Any, dtype: str = "FloatStorage", key: Any = "0") -> Persistent:
    """Return a reference to a storage."""
    return Persistent(("storage", Name("torch", dtype), key, "cpu", length))


def tensor(size: Any, stride: Any, offset: Any = 0, of: Any = None, metadata: Any = ()) -> Call:
    """Return a view of a storage of 24 numbers."""
    rest = (False, Call(ORDERED_DICT, ()), *([metadata] if metadata != () else []))
    return Call(REBUILD, (storage(24) if of is None else of, offset, size, stride, *rest))


def encode(value: Any) -> bytes:
    """Return the operations of pickle protocol 2 that put a value on the stack."""
    match value:
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8b" + struct.pack("<i", len(digits)) + digits
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(encode, value)) + b"t"
        case list():
            return b"](" + b"".join(map(encode, value)) + b"e"
        case dict():
            return b"}(" + b"".join(encode(key) + encode(item) for key, item in value.items()) + b"u"
        case bytes():  # operations, already encoded
            return value
        case Name(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return encode(function) + encode(arguments) + b"R"
        case Persistent(identity):
            return encode(identity) + b"Q"
        case Built(value, state):
            return encode(value) + encode(state) + b"b"
    raise TypeError(f"a {type(value).__name__}")


def pickled(value: Any) -> bytes:
    """Return the pickle of a value."""
    return b"\x80\x02" + encode(value) + b"."


def write(
    path: Path, pickle: bytes, entries: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> Path:
    """Write an archive as torch does and return its path; unless told otherwise, with a storage of 0 to 23."""
    if entries is None:
        entries = {"data/0": struct.pack("<24f", *range(24))}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in ({"data.pkl": pickle, "byteorder": b"little", "version": b"3\n"} | entries).items():
            archive.writestr(f"archive/{name}", data)
    return path


MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {
    "protocol_version": PROTOCOL,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}
NUMBERS = {"0": (24, struct.pack("<24f", *range(24)))}
"""The storage that `tensor` views: elements and bytes by key."""
KINDS = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage", "float64": "DoubleStorage"}


def legacy(
    pickle: bytes,
    storages: Mapping[str, tuple[int, bytes]] = NUMBERS,
    head: tuple[Any, ...] = (MAGIC, PROTOCOL, MACHINE),
    keys: Any = None,
) -> bytes:
    """Return a file in the format that torch wrote before 1.6."""
    keys = list(storages) if keys is None else keys
    values = (struct.pack("<q", length) + data for length, data in storages.values())
    return b"".join([*map(pickled, head), pickle, pickled(keys), *values])


def of_arrays(value: Any, storages: dict[str, tuple[int, bytes]]) -> Any:
    """Return what `encode` takes for a value with arrays; their bytes are put into `storages`."""
    if isinstance(value, np.ndarray):
        key = str(len(storages))
        storages[key] = value.size, value.tobytes()
        strides = tuple(stride // value.itemsize for stride in np.empty(value.shape, value.dtype).strides)
        return tensor(value.shape, strides, of=storage(value.size, KINDS[value.dtype.name], key))
    if isinstance(value, dict):
        return {key: of_arrays(item, storages) for key, item in value.items()}
    return value


def save(path: Path, value: Any, is_legacy: bool = False) -> Path:
    """Write nested dicts of arrays, and whatever `encode` takes, as torch.save does; return the path."""
    storages: dict[str, tuple[int, bytes]] = {}
    pickle = pickled(of_arrays(value, storages))
    if not is_legacy:
        return write(path, pickle, {f"data/{key}": data for key, (_, data) in storages.items()})
    path.write_bytes(legacy(pickle, storages))
    return path
