"""What is no picture's file is refused at once: nothing hangs, nothing fills the memory."""

import os
import socket
from pathlib import Path

import pytest

from castream_jax.errors import InputError
from castream_jax.storage import regular_files
from castream_jax.storage.regular_files import read_regular

MOST = 2**28


def read_file(path: Path) -> bytes:
    """Read a file of at most `MOST` bytes."""
    return read_regular(path, MOST)


def test_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b") == b"abc"
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "c")


@pytest.mark.timeout(30)
def test_what_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.png").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
        for path, said in (
            (tmp_path / "pipe", "it is a pipe: expected a file"),
            (tmp_path / "link.png", "it is a pipe"),
            (tmp_path / "socket", "it is a socket"),
            (tmp_path, "it is a folder"),
            (Path("/dev/zero"), "it is a device"),
        ):
            with pytest.raises(InputError, match=said):
                read_file(path)


def test_size_is_bounded(tmp_path, monkeypatch):
    sparse = tmp_path / "sparse.png"
    with sparse.open("wb") as file:
        file.truncate(100 * 2**30)
    with pytest.raises(InputError, match=rf"it has 107,374,182,400 bytes: at most {MOST:,} are read"):
        read_file(sparse)
    grown = tmp_path / "grown"  # while it is read, as a log or one of /proc
    grown.write_bytes(bytes(11))
    monkeypatch.setattr(regular_files, "check_status", lambda status, largest: None)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_regular(grown, 10)
