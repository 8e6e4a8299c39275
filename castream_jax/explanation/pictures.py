"""A user's own pictures: found by file, folder or glob, and named."""

import glob
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from castream_jax.data.pictures.decoding import MAX_BYTES, Decoding, Picture, decode
from castream_jax.data.pictures.listing import PassedOver, list_pictures, walk
from castream_jax.data.pictures.picture_formats import NAMES
from castream_jax.errors import InputError, escape
from castream_jax.storage.regular_files import read_regular

ANY_FOLDERS = 10
"""Places of `**` in a pattern."""
LONGEST = 150
"""Bytes of a name, before a number and a suffix; file systems take 255."""


def find_pictures(arguments: Iterable[str], output: Path | None = None) -> list[Path]:
    """Return the files that arguments name, each once, in their order: files, folders (with those below them), globs.

    Args:
      arguments: a file is taken as it is; in folders and globs, what is no picture by its suffix is passed over, and
        what may have been meant as one is named in a warning.
      output: a folder that is passed over too, where folders and globs find it: it holds what was made of pictures.

    Raises:
      InputError: no such file, a folder or glob without pictures.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if os.path.exists(path) and not os.path.isdir(path):
            found.setdefault(os.path.realpath(path), path)
            continue
        is_glob = glob.has_magic(argument) and not os.path.exists(path)
        if not (is_glob or os.path.exists(path)):
            raise InputError(f"there is no file or folder {name_path(path)!r}: expected a picture that exists.")
        passed_over = PassedOver()
        matches = expand(str(path)) if is_glob else [path]
        listed = {os.path.realpath(file): file for match in matches for file in list_files(match, passed_over)}
        kept = {real: file for real, file in listed.items() if not (output and is_below(real, output))}
        if not kept:
            where = "no picture matches" if is_glob else "there is no picture in the folder"
            but = f" outside of the folder to write to, {output}" if listed else ""
            raise InputError(f"{where} {argument!r}{but}: expected {NAMES}. {passed_over}".rstrip())
        passed_over.report(argument)
        found |= {real: file for real, file in kept.items() if real not in found}
    return list(found.values())


def expand(pattern: str) -> list[Path]:
    """Return what matches a glob, sorted; `**` is any folder, each once whatever links lead to it.

    Raises:
      InputError: there are too many `**` to go through.
    """
    named = ("", *Path(pattern).parts)
    parts = [part for before, part in itertools.pairwise(named) if (before, part) != ("**", "**")]  # one says it all
    if "**" not in parts:
        return [Path(match) for match in sorted(glob.glob(pattern))]
    if (count := parts.count("**")) > ANY_FOLDERS:
        raise InputError(f"a pattern has ** in {count} places: expected at most {ANY_FOLDERS}.")
    place = parts.index("**")
    head, rest = os.path.join("", *parts[:place]), parts[place + 1 :]
    tops = [Path(match) for match in glob.glob(head) if os.path.isdir(match)] if head else [Path()]
    if not rest:
        return sorted(tops)
    folders = [os.path.join(top, folder) for top in tops for folder, _ in walk(top, PassedOver())]
    return sorted({match for folder in folders for match in expand(os.path.join(glob.escape(folder), *rest))})


def is_below(file: str, folder: Path) -> bool:
    """Return whether a file, by its real path, lies in a folder or below it."""
    return Path(file).is_relative_to(os.path.realpath(folder))


def list_files(path: Path, passed_over: PassedOver) -> list[Path]:
    """Return the pictures in a folder and below it, or else the file itself if it is one by its suffix."""
    if path.is_dir():
        return [path / name for name in list_pictures(path, passed_over)]
    return [path] if passed_over.is_picture(str(path)) else []


def read_picture(path: Path, decoding: Decoding, name: str = "") -> Picture:
    """Return a file's picture as `convert_picture` does.

    Args:
      path: of the file.
      decoding: what is done about orientation and transparency.
      name: for the message; empty: the path.

    Raises:
      InputError: no such file, or no picture.
    """
    name = name or name_path(path)
    try:
        encoded = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"cannot read {name}: {error}") from error
    return convert_picture(encoded, name, decoding)


def convert_picture(picture: Image.Image | bytes, name: str, decoding: Decoding) -> Picture:
    """Return a picture as `decode` does.

    Args:
      picture: opened by Pillow, which is left as it is, or encoded.
      name: for the message.
      decoding: what is done about orientation and transparency.

    Raises:
      InputError: no picture, not all of one, or a single pixel, in which there is nothing to see.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a large picture of one's own
            found = decode(picture, decoding)
    except InputError as error:
        raise InputError(f"cannot read {name} as a picture: {error}") from error
    if found.image.size == (1, 1):
        raise InputError(f"cannot explain {name}: it is a single pixel. Expected a picture of some.")
    return found


def name_path(path: Path) -> str:
    """Return a path as text that can be shown and written, whatever bytes it is made of."""
    return escape(os.fsencode(path).decode("utf-8", "replace"))


def name_pictures(paths: Sequence[Path]) -> list[str]:
    """Return a name for each picture: its file's, or its whole path where several files have that name."""
    counts = Counter(path.name for path in paths)
    return [name_path(Path(path.name) if counts[path.name] == 1 else path) for path in paths]


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Return a file name without suffix for what is made of each picture, all of them different in any case."""
    names: dict[str, str] = {}  # by what a file system that folds case sees
    for path in paths:
        stem = (
            re.sub(r"[^\w.-]+", "_", name_path(Path(path.stem))).encode()[:LONGEST].decode(errors="ignore").lstrip(".")
        )
        stem = stem or "picture"
        number, name = 1, stem
        while name.lower() in names:
            number += 1
            name = f"{stem}-{number}"
        names[name.lower()] = name
    return list(names.values())
