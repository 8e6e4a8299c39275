"""Programs that JAX keeps on disk once they are compiled, guarded: such a file is executed.

JAX's own files carry a checksum of 32 bits at most, and none where `zstandard` is installed. Beside them stands
`sha256sums`, in the form of the command of that name: a file that differs from its line there, or has none because
the process that wrote it was killed before the next one, is deleted before a run begins, and compiled again.
"""

import atexit
import contextlib
import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from castream_jax.storage.replacement import replacing

log = logging.getLogger(__name__)

SUMS = "sha256sums"
TIMES = "-atime"
"""What ends the name of a file that says when another one was used; nobody executes it, and it changes."""


def use_cache(directory: str | os.PathLike[str] = "") -> None:
    """Keep compiled programs for the next process, as the commands do: what took a minute then takes seconds.

    To be called before the first network is made. A folder that cannot be written to is warned of, and nothing is kept.

    Args:
      directory: where they are kept; files in it are executed, so that it should be the user's own. Empty:
        `castream_jax` in the user's folder of caches, `$XDG_CACHE_HOME` or `~/.cache`.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    keep_compiled_programs(Path(directory).expanduser() if directory else caches / "castream_jax")


def keep_compiled_programs(directory: Path) -> "Record | None":
    """Let JAX keep what it compiles, even what takes it a moment: creating a network compiles many small programs.

    Returns what adds new files to the directory's sums, which also happens when the process ends; None if the directory
    cannot be written to, and nothing is kept.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        whole = drop_damaged(directory)
    except OSError as error:
        log.warning("compiled programs are not kept: %s cannot be written to (%s)", directory, error.strerror)
        return None
    # A full disk is told where it costs more than time, and files that other processes delete are compiled again.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # XLA's own caches below it stand in a program's key by their path: a folder that was moved would serve nobody.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    record = Record(directory, whole)
    jax.monitoring.register_event_listener(record)
    atexit.register(record.add_new)
    return record


class Record:
    """Adds the lines of files that appear in a directory to its sums: those before the program that JAX looks for."""

    def __init__(self, directory: Path, known: set[str]):
        """`known`: files that have a line."""
        self._directory, self._known, self._changed = directory, known, 0

    def __call__(self, event: str, **_: Any) -> None:
        """Add what is new, if JAX speaks of its cache."""
        if event.startswith("/jax/compilation_cache/"):
            self.add_new()

    def add_new(self) -> None:
        """Add what is new; a file that cannot be read or listed here is compiled again by the next run."""
        with contextlib.suppress(OSError):
            changed = os.stat(self._directory).st_mtime_ns
            if changed == self._changed:
                return
            self._changed = changed
            new = [name for name in find_files(self._directory) if name not in self._known]
            lines = [f"{take_sum(self._directory / name)}  {name}\n" for name in new]
            self._known.update(new)
            with open(self._directory / SUMS, "a", encoding="utf-8") as sums:
                sums.write("".join(lines))


def drop_damaged(directory: Path) -> set[str]:
    """Delete the files that are not what their line in the sums says, or have none; return the names of the others."""
    sums = read_sums(directory / SUMS)
    whole: set[str] = set()
    for name in find_files(directory):
        file = directory / name
        with contextlib.suppress(FileNotFoundError):  # another run begins here, too
            if take_sum(file) == sums.get(name):
                whole.add(name)
            else:
                file.unlink()
    if sums.keys() - whole:
        with replacing(directory / SUMS) as path:
            path.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(whole)), encoding="utf-8")
    return whole


def read_sums(file: Path) -> dict[str, str]:
    """Return the sum of each file by its name; the last one counts."""
    if not file.exists():
        return {}
    lines = (line.split("  ", 1) for line in file.read_text("utf-8", "replace").splitlines())
    return {line[1]: line[0] for line in lines if len(line) == 2}


def find_files(directory: Path) -> Iterator[str]:
    """Yield the names of the files that JAX reads, by their path below a directory: XLA has folders of its own."""
    for folder, _, names in os.walk(directory):
        for name in names:
            if name != SUMS and not name.startswith(".") and not name.endswith(TIMES):
                yield os.path.relpath(os.path.join(folder, name), directory)


def take_sum(file: Path) -> str:
    """Return a file's sha256."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
