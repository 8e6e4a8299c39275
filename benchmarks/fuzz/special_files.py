"""What a file system has beside regular files of a sensible size, made at a path."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

SPARSE = 100 << 30


def make_sparse(path: Path) -> None:
    """Make a file that says it has 100 GB, and takes no space."""
    path.touch()
    os.truncate(path, SPARSE)


def make_loop(path: Path) -> None:
    """Make two links that point at each other."""
    other = path.with_name(f"{path.name}.other")
    path.symlink_to(other)
    other.symlink_to(path)


def make_socket(path: Path) -> None:
    """Make a socket that nobody listens at."""
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "sparse": make_sparse,
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "/dev/urandom": lambda path: path.symlink_to("/dev/urandom"),
    "/dev/null": lambda path: path.symlink_to("/dev/null"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "links in a loop": make_loop,
    "directory": Path.mkdir,
    "socket": make_socket,
    "empty": Path.touch,
    "missing": lambda path: None,
}

NAMES = {
    "escape": "a\x1b[31mred",
    "bell and newline": "a\x07b\nc",
    "C1 control": "a\x9b31mred",
    "right to left": "a\u202egpj",
    "no UTF-8": os.fsdecode(b"a\xff\xfe"),
    "long": "x" * 240,
    "too long": "x" * 300,
    "path too long": "/".join(["x" * 200] * 30),
    "dash": "--help",
    "glob": "[a-z]*?",
    "quotes": "a'\"`$(touch x)`",
    "space and percent": " a %s {0} ",
}
"""Names of files without suffix. Some file systems refuse some; the makers then leave the file out."""
