"""What a process does while it reads: memory, time, other processes, the network, files that it writes."""

import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from castream_jax.storage.kept_listings import kept_directory

PROCESSES = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.system"}
NETWORK = {"socket.connect", "socket.getaddrinfo"}
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LIMIT = 3 << 30
"""Bytes that a case may ask for: beyond, it fails to get them, so that no other process has to go."""


class OutOfTime(BaseException):
    """A case takes longer than it may; no reader catches it, as they catch `Exception`."""


class Watch:
    """Audits this process while a case is read; there can be only one, as audit hooks stay.

    A process or a connection that is about to be started is stopped, and noted; so is a file that is about to be
    written or moved outside of the folder for output. Files that C code writes are seen by `list_tree` alone.
    """

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []
        """What happened that must not: a word and what it was."""
        self.megabytes = 0.0
        self._output: Path | None = None
        self._base = 0.0
        sys.addaudithook(self._audit)

    def start(self) -> None:
        """Measure memory from here on."""
        gc.collect()
        self._base = memory("VmRSS")

    @contextlib.contextmanager
    def over(self, output: Path, seconds: float) -> Iterator[None]:
        """Watch over what is done within: afterwards, `noted` and `megabytes` tell of it.

        Raises:
          OutOfTime: raised within, after so many seconds.
        """
        self.noted, self.megabytes = [], 0.0
        limits = resource.getrlimit(resource.RLIMIT_DATA)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory("VmData") * 2**20) + LIMIT, limits[1]))
        before = signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, seconds, 10)  # again: what is raised in a callback is lost
        self._output = output
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._output = None
            signal.signal(signal.SIGALRM, before)
            resource.setrlimit(resource.RLIMIT_DATA, limits)
            self.megabytes = memory("VmHWM") - self._base

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._output is None:
            return
        word = ""
        if event in PROCESSES:
            word = "process"
        elif event in NETWORK:
            word = "network"
        elif (event == "open" and arguments[2] & WRITES) or event in CHANGES:
            word = "" if self._may_write(arguments[0]) else "write"
        if word:
            self.noted.append((word, f"{event} {arguments!r}"[:500]))
            raise PermissionError(f"stopped: {event}")

    def _may_write(self, path: Any) -> bool:
        """Return whether a path is in the folder for output, or where JAX keeps programs, or we listings of tars."""
        if isinstance(path, int):  # opened before, and judged then
            return True
        assert self._output is not None
        place = os.path.abspath(os.fsdecode(path))
        programs = jax.config.values["jax_compilation_cache_dir"]
        folders = [self._output, kept_directory(), *([Path(programs)] if programs else [])]
        makes_one = kept_directory().is_relative_to(place)  # folders on the way there
        return place == os.devnull or makes_one or any(Path(place).is_relative_to(folder) for folder in folders)


def _stop(*_: object) -> None:
    raise OutOfTime


def memory(kind: str) -> float:
    """Return a line of this process's status, in megabytes: VmRSS, VmHWM (the peak of it), VmData."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:"))


def list_tree(folder: Path, apart: Path) -> set[str]:
    """Return all paths below a folder, but for those below another one."""
    found: set[str] = set()
    folders = [os.fspath(folder)]
    while folders:  # not by calling itself: they can be deeper than Python goes
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                found.add(os.fsencode(entry.path).decode(errors="replace"))
                if entry.is_dir(follow_symlinks=False) and Path(entry.path) != apart:
                    folders.append(entry.path)
    return found
