"""Files that others give, read within bounds: regular files only, and none that fills the memory."""

import os
import stat
from pathlib import Path

from castream_jax.errors import InputError

MAX_BYTES = 2**28
"""Of a file, 256 MiB: more than any picture within `decoding.MAX_PIXELS` is worth."""
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path) -> bytes:
    """Return what a file holds, without waiting for anything.

    Raises:
      InputError: not a regular file, or one of more than `MAX_BYTES`.
      OSError: it is not there, or must not be read.
    """
    check_file(os.stat(path))  # before it is opened: opening a device or a pipe can do things
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        check_file(os.fstat(file.fileno()))
        found = file.read(MAX_BYTES + 1)
    if len(found) > MAX_BYTES:
        raise InputError(f"it has more than {MAX_BYTES:,} bytes, the most that are read.")
    return found


def check_file(status: os.stat_result) -> None:
    """Raise `InputError` for what is no regular file, or too large."""
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"it is {KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}: expected a file.")
    if status.st_size > MAX_BYTES:
        raise InputError(f"it has {status.st_size:,} bytes: at most {MAX_BYTES:,} are read. Make it smaller.")
