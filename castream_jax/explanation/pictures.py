"""A user's own pictures: found by file, folder or glob, and read whatever their size, orientation and colours."""

import glob
import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from castream_jax.data.image_folder import list_pictures, picture_suffixes
from castream_jax.data.preprocess import to_rgb
from castream_jax.errors import InputError

WITH_ALPHA = ("RGBA", "LA", "PA", "P", "RGB", "L")
"""Modes whose transparency Pillow can turn into an alpha channel."""


def find_pictures(arguments: Iterable[str]) -> list[Path]:
    """Return the files that arguments name, each once, in their order: files, folders (with those below), globs.

    A single file is taken as it is, whether it exists or not: reading it will tell.

    Raises:
      InputError: a folder or glob without pictures.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        is_glob = glob.has_magic(argument) and not path.exists()
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))] if is_glob else [path]
        files = [file for match in matches for file in list_files(match)]
        if not files:
            where = "no file matches" if is_glob else "there is no picture in the folder"
            raise InputError(f"{where} {argument!r}: expected pictures of a format that Pillow reads.")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def list_files(path: Path) -> list[Path]:
    """Return the pictures in a folder and below it, or else the file itself."""
    if not path.is_dir():
        return [path]
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


def name_path(path: Path) -> str:
    """Return a path as text that can be shown and written, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def name_pictures(paths: Sequence[Path]) -> list[str]:
    """Return a name for each picture: its file's, or its whole path where several files have that name."""
    counts = Counter(path.name for path in paths)
    return [name_path(Path(path.name) if counts[path.name] == 1 else path) for path in paths]


def name_outputs(paths: Sequence[Path]) -> list[str]:
    """Return a file name without suffix for what is made of each picture, all of them different in any case."""
    names: dict[str, str] = {}  # by what a file system that folds case sees
    for path in paths:
        stem = re.sub(r"[^\w.-]+", "_", name_path(Path(path.stem)))[:80].lstrip(".") or "picture"
        number, name = 1, stem
        while name.lower() in names:
            number += 1
            name = f"{stem}-{number}"
        names[name.lower()] = name
    return list(names.values())
