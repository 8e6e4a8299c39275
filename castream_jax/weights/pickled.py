"""Reads PyTorch's `.pth` files without torch, and without running anything that they say.

Since torch 1.6 a `.pth` file is a zip archive of uncompressed entries below one folder: `data.pkl`, a pickle that
describes nested containers and, as views of storages, tensors; `data/<key>`, the bytes of each storage; `byteorder`.
Older ones are in the format of `legacy`.

Source: torch.serialization (`_save`, `_load`) of torch 2.13.
"""

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from castream_jax.errors import InputError
from castream_jax.weights.bounds import check_regular
from castream_jax.weights.labels import DOWNLOAD_AGAIN
from castream_jax.weights.legacy import read_legacy
from castream_jax.weights.unpickler import SAVE_AGAIN, Unpickler

NO_ZIP = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    struct.error,
    ValueError,
)
"""What reading a broken zip archive raises."""


def read_pickled(path: Path) -> Any:
    """Return what a `.pth` file holds: nested dicts, lists, tuples, scalars, strings and arrays.

    Tensors and parameters become read-only arrays of the same shape, dtype (bfloat16 is `ml_dtypes.bfloat16`) and
    values; those that share a storage share memory. An OrderedDict becomes a dict, torch.Size a tuple. Anything else is
    an `Opaque`: nothing of it is run.

    Raises:
      InputError: no such file; no whole file of torch's; a TorchScript, tar, big-endian or compressed one; a pickle
        that is damaged or forged.
    """
    size = check_regular(path)
    try:
        if _is_zip(path):
            with zipfile.ZipFile(path) as opened:
                archive = Archive(opened, size)
                return Unpickler(archive.read_storage).load(archive.read("data.pkl"))
        return read_legacy(path, size)
    except InputError as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error}. Check the disk and the permissions.") from error
    except MemoryError as error:
        raise InputError(f"cannot read {str(path)!r}: its {size} bytes do not fit into memory.") from error
    except NO_ZIP as error:
        cause = str(error)[:200] or type(error).__name__
        raise InputError(
            f"cannot read {str(path)!r}: expected a whole zip archive of torch ({cause}). {DOWNLOAD_AGAIN}"
        ) from error


def _is_zip(path: Path) -> bool:
    """Return whether a file begins as a zip archive, or else as a pickle; `InputError` if it begins as neither."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return head.startswith(b"P")
    if not head:
        raise InputError(f"it is empty: expected a .pth file of torch. {DOWNLOAD_AGAIN}")
    if head[257:262] == b"ustar":
        raise InputError(f"it is a tar archive, as torch wrote before 0.1.10: expected a later format. {SAVE_AGAIN}")
    raise InputError(f"it begins with {head[:16]!r}: expected the zip format of torch. {DOWNLOAD_AGAIN}")


class Archive:
    """A zip archive of torch's, checked before anything is read.

    Args:
      opened: the archive.
      file_size: of the whole file, in bytes.

    Raises:
      InputError: another kind of archive; entries that torch does not write, that are damaged, or that add up to more
        than the file has.
    """

    def __init__(self, opened: zipfile.ZipFile, file_size: int):
        self._opened = opened
        self._storages: dict[str, bytes] = {}
        entries = opened.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) < len(entries):
            raise InputError(f"two of its entries have the same name: torch.save writes no such file. {SAVE_AGAIN}")
        self._root = self._find_root()
        _check_stored(entries, file_size)
        order = self.read("byteorder") if f"{self._root}byteorder" in self._entries else b"little"
        if order != b"little":
            raise InputError(
                f"its byte order is {order[:16]!r}: expected b'little'. Load it with torch on a little-endian machine "
                "and save it again there, or convert it to .safetensors."
            )

    def _find_root(self) -> str:
        """Return the folder of all entries, with its slash."""
        roots = [name.removesuffix("data.pkl") for name in self._entries if name.split("/")[1:] == ["data.pkl"]]
        if len(roots) != 1:
            raise InputError(
                "it is a zip archive, but not one of torch.save: expected one entry <folder>/data.pkl, found "
                f"{len(roots)}. Give a file that torch.save wrote, or convert it to .safetensors."
            )
        root = roots[0]
        if any(name == f"{root}constants.pkl" or name.startswith(f"{root}code/") for name in self._entries):
            raise InputError(
                "it is a TorchScript program: expected a state dict. Save that with torch: "
                "torch.save(torch.jit.load(path).state_dict(), new_path)."
            )
        return root

    def read_storage(self, key: str, length: int, dtype: np.dtype) -> bytes:
        """Return the bytes of a storage: `length` numbers, or more."""
        size = length * dtype.itemsize
        if not size:
            return b""
        if key not in self._storages:
            if f"{self._root}data/{key}" not in self._entries:
                raise InputError(f"its entry data/{key[:80]}, the values of a tensor, is missing. {DOWNLOAD_AGAIN}")
            self._storages[key] = self.read(f"data/{key}")
        found = self._storages[key]
        if len(found) < size:
            raise InputError(
                f"its entry data/{key[:80]}, the values of a tensor, has {len(found)} bytes: expected {size}. "
                f"{DOWNLOAD_AGAIN}"
            )
        return found

    def read(self, name: str) -> bytes:
        """Return the bytes of an entry by its name below the root, which is there."""
        try:
            return self._opened.read(self._entries[self._root + name])
        except (zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"its entry {name[:80]} is damaged ({error}). {DOWNLOAD_AGAIN} If torch wrote it without checksums "
                "(set_crc32_options(False)), save it again with them."
            ) from error


def _check_stored(entries: list[zipfile.ZipInfo], file_size: int) -> None:
    """Raise `InputError` if entries are not stored as they are, or cannot all be in the file."""
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise InputError(
                f"its entry {entry.filename[:80]!r} is compressed or encrypted: torch.save does neither. {SAVE_AGAIN}"
            )
    total = sum(max(entry.file_size, entry.compress_size) for entry in entries)
    if total > file_size:
        raise InputError(f"its entries claim {total} bytes, more than the whole file's {file_size}. {DOWNLOAD_AGAIN}")
