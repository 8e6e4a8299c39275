"""A user's own pictures: found by file, folder or glob, and read whatever their size, orientation and colours."""

import glob
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from castream_jax.data.image_folder import list_pictures, picture_suffixes
from castream_jax.data.preprocess import Resize, to_rgb
from castream_jax.errors import InputError, escape

WITH_ALPHA = ("RGBA", "LA", "PA", "P", "RGB", "L")
"""Modes whose transparency Pillow can turn into an alpha channel."""

LONGEST = 150
"""Bytes of a name, before a number and a suffix; file systems take 255."""


def find_pictures(arguments: Iterable[str], output: Path | None = None) -> list[Path]:
    """Return the files that arguments name, each once, in their order: files, folders (with those below), globs.

    Args:
      arguments: a file is taken as it is; in folders and globs, what is no picture by its suffix is passed over.
      output: a folder that is passed over too, where folders and globs find it: it holds what was made of pictures.

    Raises:
      InputError: no such file, a folder or glob without pictures.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if os.path.isfile(path):
            found.setdefault(os.path.realpath(path), path)
            continue
        is_glob = glob.has_magic(argument) and not os.path.exists(path)
        if not (is_glob or os.path.exists(path)):
            raise InputError(f"there is no file or folder {name_path(path)!r}: expected a picture that exists.")
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))] if is_glob else [path]
        listed = {os.path.realpath(file): file for match in matches for file in list_files(match)}
        kept = {real: file for real, file in listed.items() if not (output and is_below(real, output))}
        if not kept:
            where = "no picture matches" if is_glob else "there is no picture in the folder"
            but = f" outside of the folder to write to, {output}" if listed else ""
            raise InputError(f"{where} {argument!r}{but}: expected pictures of a format that Pillow reads.")
        found |= {real: file for real, file in kept.items() if real not in found}
    return list(found.values())


def is_below(file: str, folder: Path) -> bool:
    """Return whether a file, by its real path, lies in a folder or below it."""
    return Path(file).is_relative_to(os.path.realpath(folder))


def list_files(path: Path) -> list[Path]:
    """Return the pictures in a folder and below it, or else the file itself if it is one by its suffix."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in picture_suffixes() else []
    try:
        return [path / name for name in sorted(list_pictures(path, picture_suffixes()))]
    except OSError as error:
        raise InputError(f"cannot look into the folder {str(path)!r}: {error.strerror}.") from error


def read_picture(path: Path) -> Image.Image:
    """Return a file's picture as `convert_picture` does.

    Raises:
      InputError: no such file, or no picture.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {name_path(path)}: {error.strerror}") from error
    return convert_picture(io.BytesIO(encoded), name_path(path))


def convert_picture(picture: Image.Image | io.BytesIO, name: str) -> Image.Image:
    """Return a picture as RGB, turned upright as its EXIF orientation says, on white where it is transparent.

    Args:
      picture: opened, which is left as it is, or encoded.
      name: for the message.

    Raises:
      InputError: no picture, or not all of one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a large picture of one's own
            opened = picture if isinstance(picture, Image.Image) else Image.open(picture)
        return flatten(ImageOps.exif_transpose(opened))  # a copy
    except Exception as error:  # decoders raise whatever their parsing hits: OSError, SyntaxError, struct.error, ...
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"cannot read {name} as a picture: {reason}") from error


def flatten(image: Image.Image) -> Image.Image:
    """Return a picture as RGB on white: what transparency hides is often black, or anything."""
    has_alpha = image.has_transparency_data and image.mode in WITH_ALPHA
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    colours = to_rgb(image)
    if alpha is None:
        return colours
    white = Image.new("RGB", image.size, "white")
    white.paste(colours, mask=alpha)
    return white


def prepare(image: Image.Image, resize: Resize) -> tuple[UInt8[np.ndarray, "H W 3"], float]:
    """Return a picture as the network sees it, and the height over width to show that in."""
    ratio = image.height / image.width if resize.mode == "squash" else 1.0
    return np.asarray(resize(image)), ratio


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
