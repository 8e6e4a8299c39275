"""Which files in a folder are pictures, by their suffix; what else may have been meant is named, not passed over."""

import errno
import functools
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from castream_jax.data.pictures.picture_formats import Foreign, foreign_suffixes, picture_suffixes
from castream_jax.errors import InputError

log = logging.getLogger(__name__)
SHOWN = 3
"""Names of each kind in a message."""


@dataclass
class PassedOver:
    """What listing found beside the pictures, for one message."""

    files: dict[Foreign, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Names of files in formats that are not read."""
    loops: list[str] = field(default_factory=list)
    """Links to a folder that they are in, or to each other."""

    def __str__(self) -> str:
        said = []
        if self.files:
            kinds = [f"{len(names):,} {kind.name} ({shorten(names)})" for kind, names in self.files.items()]
            advice = dict.fromkeys(f"{kind.name}: {kind.advice}" for kind in self.files)
            files = sum(map(len, self.files.values()))
            count = "1 file is" if files == 1 else f"{files:,} files are"
            said.append(f"{count} not read: {', '.join(kinds)}. {'; '.join(advice)}.")
        if self.loops:
            said.append(f"Links in a circle are not followed: {shorten(self.loops)}.")
        return " ".join(said)

    def is_picture(self, path: str) -> bool:
        """Return whether a file is a picture by its suffix; note what may have been meant as one."""
        suffix = os.path.splitext(path)[1].lower()
        if foreign := foreign_suffixes().get(suffix):
            self.files[foreign].append(path)
        return suffix in picture_suffixes()

    def report(self, where: str) -> None:
        """Say all of it once, if there is anything."""
        if self.files or self.loops:
            warn_once(f"{where}: {self}")


@functools.cache
def warn_once(message: str) -> None:
    """Warn, but not again where a run lists the same folder again."""
    log.warning("%s", message)


def shorten(names: list[str]) -> str:
    """Return the first names, and that there are more."""
    return ", ".join(map(repr, sorted(names)[:SHOWN])) + ", …" * (len(names) > SHOWN)


def list_pictures(directory: Path, passed_over: PassedOver) -> list[str]:
    """Return the paths of the visible pictures in a folder and in those below it, relative to it, sorted.

    Args:
      directory: the folder.
      passed_over: told what may have been meant and is not read.

    Raises:
      InputError: a folder that cannot be looked into.
    """
    paths = (os.path.join(folder, name) for folder, names in walk(directory, passed_over) for name in names)
    return sorted(filter(passed_over.is_picture, paths))


def walk(directory: Path, passed_over: PassedOver) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder, from this one ("") down, relative to it, with the names of its visible files.

    Each comes once, whatever links lead to it, and by its own name if it has one here. Raises as `list_pictures`.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        status = os.stat(directory / folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        files = []
        for entry in look_into(directory / folder):
            path = os.path.join(folder, entry.name)
            if is_loop(entry):
                passed_over.loops.append(path)
            elif entry.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            else:
                files.append(entry.name)
        yield folder, files


def look_into(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is visible in a folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot look into the folder {str(folder)!r}: {error.strerror}.") from error


def find_loops(directory: Path) -> list[str]:
    """Return the visible links in a folder that lead in a circle."""
    return [entry.name for entry in look_into(directory) if is_loop(entry)]


def is_loop(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a link to a folder that it lies in, or to itself by other links."""
    if not entry.is_symlink():
        return False
    try:
        os.stat(entry.path)
    except OSError as error:
        return error.errno == errno.ELOOP
    return Path(os.path.realpath(os.path.dirname(entry.path))).is_relative_to(os.path.realpath(entry.path))
