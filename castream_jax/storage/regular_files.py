"""Files that others give, read within bounds: regular files only, and none that fills the memory."""

import os
import stat
from pathlib import Path

from castream_jax.errors import InputError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: str | Path, largest: int) -> bytes:
    """Return what a file holds, without waiting for anything.

    Args:
      path: of a file, or of a link to one.
      largest: bytes that it may have.

    Raises:
      InputError: not a regular file, or a larger one.
      OSError: it is not there, or must not be read.
    """
    check_status(os.stat(path), largest)  # before it is opened: opening a device or a pipe can do things
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        check_status(os.fstat(file.fileno()), largest)
        found = file.read(largest + 1)
    if len(found) > largest:
        raise InputError(f"it has more than {largest:,} bytes, the most that are read.")
    return found


def check_status(status: os.stat_result, largest: int) -> None:
    """Raise `InputError` for what is no regular file, or a larger one."""
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"it is {KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}: expected a file.")
    if status.st_size > largest:
        raise InputError(f"it has {status.st_size:,} bytes: at most {largest:,} are read. Make it smaller.")
