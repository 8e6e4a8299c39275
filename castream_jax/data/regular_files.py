"""Reads small files that a user names or that lie in a user's folders: never a device, a pipe or a huge one."""

import os
import stat
from pathlib import Path


def read_regular(path: str | Path, largest: int) -> bytes:
    """Return the bytes of a regular file.

    Args:
      path: of the file, or of a link to one.
      largest: bytes that it may have.

    Raises:
      OSError: it cannot be read, is a device, pipe or folder, or is larger; says which.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for a writer
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(f"it is larger than {largest:,} bytes")
    return data
