"""Reads the format that torch wrote before 1.6, and most published `.pth` files are in.

One after the other: the pickles of a magic number, a protocol number, what is known of the machine, the object
itself, and the keys of its storages; then, for each key in turn, eight bytes with the number of elements and the
elements. Nothing says where a storage begins before all before it are read: memory is set aside while the object is
read, and filled after.

Source: torch.serialization (`_legacy_save`, `_legacy_load`) of torch 2.13.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from castream_jax.errors import InputError
from castream_jax.weights.labels import DOWNLOAD_AGAIN
from castream_jax.weights.unpickler import SAVE_AGAIN, Unpickler

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
TYPE_SIZES = {"short": 2, "int": 4, "long": 4}


def read_legacy(path: Path, size: int) -> Any:
    """Return what a file of `size` bytes in the legacy format holds.

    Raises:
      InputError: it is a bare pickle; it is of another machine; it is damaged, cut short, or longer than it says.
    """
    with Clipped(path, size) as file:
        magic = Unpickler(_read_no_storage).load(file)
        if type(magic) is not int or magic != MAGIC:
            raise InputError(f"it is a bare pickle: expected a file of torch.save. {SAVE_AGAIN}")
        protocol = Unpickler(_read_no_storage).load(file)
        if type(protocol) is not int or protocol != PROTOCOL:
            raise InputError(f"it is not of torch's protocol {PROTOCOL}. {SAVE_AGAIN}")
        _check_machine(Unpickler(_read_no_storage).load(file))
        storages = Storages(size)
        found = Unpickler(storages.allocate).load(file)
        storages.fill(Unpickler(_read_no_storage).load(file), file)
    return found


class Storages:
    """The storages of a file of `size` bytes: memory is set aside as they are met, and filled afterwards."""

    def __init__(self, size: int):
        self._size = self._left = size
        self._found: dict[str, tuple[int, bytearray]] = {}

    def allocate(self, key: str, length: int, dtype: np.dtype) -> memoryview:
        """Return the memory of a storage, which is yet to be filled, read-only.

        Raises:
          InputError: the file cannot hold so much, or the storage was smaller before.
        """
        size = length * dtype.itemsize
        if key not in self._found:
            if size > self._left:
                raise InputError(f"its storages claim more bytes than the whole file's {self._size}. {DOWNLOAD_AGAIN}")
            self._left -= size
            self._found[key] = length, bytearray(size)
        memory = self._found[key][1]
        if size > len(memory):
            raise InputError(f"its storage {key[:80]} has {len(memory)} bytes: expected {size}. {DOWNLOAD_AGAIN}")
        return memoryview(memory).toreadonly()

    def fill(self, keys: Any, file: io.BufferedReader) -> None:
        """Read every storage, in the order of `keys`, up to the end of the file."""
        strings = type(keys) is list and all(type(key) is str for key in keys)
        if not strings or len(keys) != len(self._found) or set(keys) != self._found.keys():
            raise InputError(f"its list of storages is not that of its tensors. {DOWNLOAD_AGAIN}")
        for key in keys:
            length, memory = self._found[key]
            said = file.read(8)
            if len(said) == 8 and int.from_bytes(said, "little") != length:
                raise InputError(
                    f"its storage {key[:80]} is not of {length} numbers, as its tensors say. {DOWNLOAD_AGAIN}"
                )
            if len(said) < 8 or file.readinto(memory) != len(memory):
                raise InputError(f"it ends in the middle of its tensors. {DOWNLOAD_AGAIN}")
        if file.read(1):
            raise InputError(f"it goes on after its last tensor. {DOWNLOAD_AGAIN}")


class Clipped(io.BufferedReader):
    """A file that sets no more memory aside for a read than it has bytes, whatever a damaged length says."""

    def __init__(self, path: Path, size: int):
        super().__init__(path.open("rb", buffering=0))
        self._size = size

    def read(self, count: int | None = -1, /) -> bytes:
        """Return so many bytes, or the rest."""
        return super().read(self._size if count is None or count < 0 else min(count, self._size))


def _check_machine(machine: Any) -> None:
    """Raise `InputError` unless a file is of a little-endian machine with numbers of the usual sizes."""
    if type(machine) is not dict or machine.get("little_endian") is not True or machine.get("type_sizes") != TYPE_SIZES:
        raise InputError(
            "it is of a machine with another byte order or other sizes of numbers: expected little-endian, with "
            f"{TYPE_SIZES}. Load it with torch on a little-endian machine and save it again there."
        )


def _read_no_storage(key: str, length: int, dtype: np.dtype) -> memoryview:
    raise InputError(f"it has a tensor before its tensors begin. {DOWNLOAD_AGAIN}")
