"""The formats of pictures that are read, and those that are known by name alone, with what to do about them.

Pillow reads more than these, and hands some to other programs, as EPS to Ghostscript: whatever a file is called, none
but these decoders ever sees it.
"""

import functools
import re
from dataclasses import dataclass

from PIL import Image

READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
NAMES = "JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, JPEG 2000 or PPM"
"""The same, for people."""
LOOKED_AT = 1000
"""Bytes at a file's beginning that tell what it is."""


@dataclass(frozen=True)
class Foreign:
    """A format that is not read."""

    name: str
    suffixes: tuple[str, ...]
    begins: bytes
    """A regular expression for the first bytes of such a file."""
    advice: str = "convert it to PNG or JPEG"


FOREIGN = (
    Foreign(
        "HEIC",
        (".heic", ".heif", ".hif"),
        rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)",
        "convert it to JPEG or PNG, or let the phone save JPEG",
    ),
    Foreign("DICOM", (".dcm", ".dicom"), rb".{128}DICM", "export it to PNG, with the window of grey you mean"),
    Foreign("SVG", (".svg", ".svgz"), rb"\s*(<\?xml.*?|<!--.*?)?<svg[\s>]", "render it to PNG at the size you mean"),
    Foreign("PostScript", (".eps", ".ps"), rb"%!PS|\xc5\xd0\xd3\xc6", "render it to PNG at the size you mean"),
    Foreign("PDF", (".pdf",), rb"%PDF", "render it to PNG at the size you mean"),
    Foreign(
        "camera raw",
        (".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"),
        rb"II\*\0.{4}CR\x02|.{4}ftypcrx|FUJIFILMCCD-RAW|IIR[OS]|IIU\0",
        "develop it to JPEG or PNG",
    ),
    Foreign(
        "video",
        (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg"),
        rb".{4}ftyp(?!avi[fs])|.{4}(moov|mdat)|RIFF.{4}AVI |\x1a\x45\xdf\xa3|\0\0\x01[\xb3\xba]",
        "save the frames you mean as PNG or JPEG",
    ),
    Foreign("JPEG XL", (".jxl",), rb"\xff\x0a|\0\0\0\x0cJXL "),
    Foreign("Photoshop", (".psd", ".psb"), rb"8BPS"),
    Foreign("OpenEXR", (".exr",), rb"v/1\x01", "map its range to 8 bits and save PNG"),
    Foreign("NIfTI", (".nii",), rb"(?!)", "save the slices you mean as PNG"),
    Foreign("a web page", (), rb"\s*<(!doctype html|html|head)", "download the picture itself"),
    Foreign("a pointer of Git LFS", (), rb"version https://git-lfs", "fetch the picture with `git lfs pull`"),
)


@functools.cache
def readable() -> tuple[str, ...]:
    """Return those of `READ` that this Pillow has."""
    Image.init()
    return tuple(kind for kind in READ if kind in Image.OPEN)


@functools.cache
def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that are read, in lower case."""
    kinds = {*readable(), "MPO"}  # a JPEG that holds several pictures
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in kinds)


@functools.cache
def foreign_suffixes() -> dict[str, Foreign]:
    """Return the suffixes of pictures and the like that are not read: ours, and those of Pillow's other decoders."""
    others = Image.registered_extensions().items()
    found = {suffix: Foreign(kind, (), b"(?!)") for suffix, kind in others if kind in Image.OPEN}
    found |= {suffix: foreign for foreign in FOREIGN for suffix in foreign.suffixes}
    return {suffix: foreign for suffix, foreign in found.items() if suffix not in picture_suffixes()}


def recognise(encoded: bytes) -> Foreign | None:
    """Return what a file that is not read is, by its first bytes; None if that is not known."""
    head = encoded[:LOOKED_AT]
    return next((foreign for foreign in FOREIGN if re.match(foreign.begins, head, re.DOTALL | re.IGNORECASE)), None)
