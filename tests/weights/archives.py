"""Writes `.pth` files without torch: a small pickler for torch's conventions, and the zip archive around it."""

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
