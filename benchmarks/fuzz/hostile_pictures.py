"""Files called pictures that were made to do harm, or are something else."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.fuzz.picture_bytes import (
    bmp,
    chunk,
    encode,
    gif,
    png,
    png_bomb,
    png_of,
    psd,
    resize_jpeg,
    tiff,
    webp,
    zeros,
)
from benchmarks.fuzz.picture_files import COLOURS, GREY, PALETTE, RGB

Bytes = Callable[[], bytes]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 20\n%%EndComments\n0 0 32 20 rectfill\nshowpage\n%%EOF\n"
EXTERNAL = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'
WMF = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhHIH", 0, 0, 100, 100, 96, 0, 0) + bytes(40)


def packed(name: str, content: bytes) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


STRANGERS: dict[str, tuple[bytes, str]] = {
    "eps": (EPS, ".eps"),
    "eps called png": (EPS, ".png"),
    "eps called jpg": (EPS, ".jpg"),
    "eps in a dos wrapper": (b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(EPS)) + bytes(20) + EPS, ".png"),
    "eps after spaces": (b" \n" + EPS, ".png"),
    "pdf called png": (b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF", ".png"),
    "wmf called png": (WMF, ".png"),
    "svg": (EXTERNAL.encode(), ".svg"),
    "svg called png": (EXTERNAL.encode(), ".png"),
    "mvg called png": (b"push graphic-context\nimage over 0,0 0,0 'label:@/etc/passwd'\npop graphic-context", ".png"),
    "html called jpg": (b"<!DOCTYPE html><html>404 not found</html>", ".jpg"),
    "zip called jpg": (packed("a.png", png(COLOURS)), ".jpg"),
    "zip bomb called jpg": (packed("a", bytes(1 << 24)), ".jpg"),
    "gzip called png": (b"\x1f\x8b\x08" + bytes(7) + zlib.compress(bytes(1 << 20)), ".png"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), ".heic"),
    "heic called jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), ".jpg"),
    "avif that ends": (encode(RGB, "AVIF")[:200], ".avif"),
    "dicom": (bytes(128) + b"DICM" + bytes(200), ".dcm"),
    "dicom called png": (bytes(128) + b"DICM" + bytes(200), ".png"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100), ".mp4"),
    "mpeg called jpg": (b"\0\0\x01\xb3" + struct.pack(">I", 0xFFFFFF13) + bytes(100), ".jpg"),
    "hdf5 called png": (b"\x89HDF\r\n\x1a\n" + bytes(100), ".png"),
    "grib called png": (b"GRIB" + bytes(3) + b"\x01" + bytes(100), ".png"),
    "text called png": (b"no picture", ".png"),
    "zeros called jpg": (bytes(1 << 16), ".jpg"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n", ".jpg"),
    "numpy called png": (b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}", ".png"),
}
"""What is no picture of a format that is meant: it is refused, or passed over with a word, and starts nothing."""


def text_bomb(kind: bytes, count: int, size: int) -> bytes:
    """Return a small PNG file whose texts are large once they are unpacked."""
    head = b"a\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0")
    return png(COLOURS, after=[(kind, head + zeros(size))] * count)


def profile_bomb() -> bytes:
    """Return a small PNG file whose colour profile is large once it is unpacked."""
    return png(COLOURS, [(b"iCCP", b"a\0\0" + zeros(500_000_000))])


def exif_of(body: bytes) -> bytes:
    """Return a PNG file with Exif data, whatever they are."""
    return png(COLOURS, [(b"eXIf", body)])


def exif_loop() -> bytes:
    """Return Exif data whose directory names itself as the next one, and as one within."""
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x112, 3, 1, 6)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + struct.pack("<I", 8)


def exif_huge() -> bytes:
    """Return Exif data with an orientation of four billion numbers."""
    entries = struct.pack("<HHII", 0x112, 3, 0xFFFFFFFF, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entries + struct.pack("<I", 0)


def endless_frames() -> bytes:
    """Return a GIF file of very many frames."""
    content = encode(PALETTE, "GIF")
    start = content.index(b"\x2c")
    return content[:start] + content[start:-1] * 3_000 + b"\x3b"


def tiff_loop() -> bytes:
    """Return a TIFF file whose directory names itself as the next one."""
    content = tiff(GREY)
    return content[:-4] + content[4:8]


def tall_tiff(side: int) -> bytes:
    """Return a TIFF file of zeros, deflated."""
    data = zeros(side * side)
    more = {256: (4, 1, side), 257: (4, 1, side), 278: (4, 1, side), 259: (3, 1, 8), 279: (4, 1, len(data))}
    content = tiff(np.zeros((1, 1), np.uint8), more=more | {273: (4, 1, 0)})
    place = len(content)
    return tiff(np.zeros((1, 1), np.uint8), more=more | {273: (4, 1, place)}) + data


def lzw_gif(side: int) -> bytes:
    """Return a GIF file of one colour, as Pillow packs it, of a square that it can hold in memory."""
    from PIL import Image

    return encode(Image.new("P", (side, side)), "GIF")


BOMBS: dict[str, tuple[Bytes, str]] = {
    "png of 169 million pixels, one bit": (lambda: png_bomb(13_000, 13_000, 1), ".png"),
    "png of 169 million pixels, colours": (lambda: png_bomb(13_000, 13_000, 8, 2), ".png"),
    "png of 169 million pixels, RGBA of 16 bits": (lambda: png_bomb(13_000, 13_000, 16, 6), ".png"),
    "png of 170 million pixels in a row": (lambda: png_bomb(170_000_000, 1, 8), ".png"),
    "png of 4 billion pixels, one bit": (lambda: png_bomb(65_000, 65_000, 1), ".png"),
    "png that says 2**31 pixels": (lambda: png_of((2**31 - 1, 1, 8, 2), zeros(100)), ".png"),
    "png that says 2**62 pixels": (lambda: png_of((2**31 - 1, 2**31 - 1, 8, 6), zeros(100)), ".png"),
    "png that says 169 million pixels": (lambda: png_of((13_000, 13_000, 8, 6), zeros(100)), ".png"),
    "png that says no pixels": (lambda: png_of((0, 0, 8, 2), zeros(100)), ".png"),
    "png of 33 bits": (lambda: png_of((9, 9, 33, 2), zeros(100)), ".png"),
    "png of a million chunks": (lambda: png(COLOURS, [(b"tEXt", b"a\0b")] * 500_000), ".png"),
    "png, one text of 500 MB": (lambda: text_bomb(b"zTXt", 1, 500_000_000), ".png"),
    "png, a thousand texts of 1 MB": (lambda: text_bomb(b"zTXt", 1_000, 1_000_000), ".png"),
    "png, a thousand texts of 1 MB, iTXt": (lambda: text_bomb(b"iTXt", 1_000, 1_000_000), ".png"),
    "png, a profile of 500 MB": (profile_bomb, ".png"),
    "png, exif in a loop": (lambda: exif_of(exif_loop()), ".png"),
    "png, exif without end": (lambda: exif_of(exif_huge()), ".png"),
    "png, exif that is none": (lambda: exif_of(b"x" * 1_000), ".png"),
    "png, a chunk that says 2 GB": (
        lambda: png(COLOURS)[:33] + struct.pack(">I", 2**31 - 1) + b"zTXt" + bytes(99), ".png"
    ),
    "png without data": (lambda: png(COLOURS)[:33] + chunk(b"IEND", b""), ".png"),
    "gif of 4 billion pixels": (lambda: gif((65_535, 65_535), (1, 1)), ".gif"),
    "gif that says 169 million pixels": (lambda: gif((13_000, 13_000), (1, 1)), ".gif"),
    "gif of 100 million pixels": (lambda: lzw_gif(10_000), ".gif"),
    "gif with a frame beyond its screen": (lambda: gif((1, 1), (65_535, 65_535)), ".gif"),
    "gif of thousands of frames": (endless_frames, ".gif"),
    "webp that says 268 million pixels": (lambda: webp(16_384, 16_384), ".webp"),
    "webp that says 169 million pixels": (lambda: webp(13_000, 13_000), ".webp"),
    "bmp that says 2**62 pixels": (lambda: bmp(2**31 - 1, 2**31 - 1), ".bmp"),
    "bmp that says 169 million pixels": (lambda: bmp(13_000, 13_000), ".bmp"),
    "bmp of 169 million pixels, packed": (lambda: bmp(13_000, 13_000, 1, b"\xff\1" * 700_000), ".bmp"),
    "jpeg that says 4 billion pixels": (lambda: resize_jpeg(encode(RGB, "JPEG"), 65_500, 65_500), ".jpg"),
    "jpeg that says 169 million pixels": (lambda: resize_jpeg(encode(RGB, "JPEG"), 13_000, 13_000), ".jpg"),
    "jpeg, progressive, 169 million pixels": (
        lambda: resize_jpeg(encode(RGB, "JPEG", progressive=True), 13_000, 13_000), ".jpg"
    ),
    "tiff of 169 million pixels": (lambda: tall_tiff(13_000), ".tif"),
    "tiff in a loop": (tiff_loop, ".tif"),
    "tiff that says 2**60 pixels": (lambda: tiff(GREY, more={256: (4, 1, 2**30), 257: (4, 1, 2**30)}), ".tif"),
    "tiff with a tag of 4 GB": (lambda: tiff(GREY, more={270: (2, 2**32 - 1, 8)}), ".tif"),
    "tiff with 2**32 strips": (lambda: tiff(GREY, more={273: (4, 2**32 - 1, 8), 278: (4, 1, 1)}), ".tif"),
    "tiff, floats that are NaN": (lambda: tiff(np.full((9, 9), np.nan, np.float32)), ".tif"),
    "tiff, floats that are huge": (lambda: tiff(np.full((9, 9), 1e38, np.float32)), ".tif"),
    "ppm that says 10 billion pixels": (lambda: b"P6 100000 100000 255\n" + bytes(100), ".ppm"),
    "ppm with a number without end": (lambda: b"P3 " + b"9" * 1_000_000, ".ppm"),
    "psd that says 900 million pixels": (lambda: psd(30_000, 30_000), ".psd"),
    "psd called png": (lambda: psd(13_000, 13_000, 3, bytes(1_000)), ".png"),
    "xbm of 4 billion pixels": (
        lambda: b"#define a_width 65535\n#define a_height 65535\nstatic char a[] = {\n0x00};", ".xbm"
    ),
    "xpm called png": (lambda: b'/* XPM */\nstatic char *a[]={"60000 60000 1 1","a c #000000",' + b'"a",' * 99, ".png"),
    "fits of a trillion pixels": (
        lambda: "".join(f"{line:80}" for line in (
            "SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 1000000", "NAXIS2  = 1000000", "END"
        )).encode().ljust(2880), ".fits"
    ),
    "ico of a png of 169 million pixels": (
        lambda: struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, 2**20, 22) + png_bomb(13_000, 13_000), ".ico"
    ),
}  # fmt: skip
"""What takes memory or time; whatever is said of it is right, in bounds."""


def link_back(folder: Path) -> None:
    """Link a folder into itself."""
    (folder / "loop").symlink_to("..")


def link_many(folder: Path) -> None:
    """Link a folder into itself three times, so that there are more ways than can be walked."""
    for name in "abc":
        (folder / name).symlink_to(".")


def nest(folder: Path, depth: int = 1_200) -> None:
    """Make folders in folders, deeper than Python calls itself."""
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)


def fill(folder: Path, count: int = 20_000) -> None:
    """Make very many files that are no pictures by their names."""
    for number in range(count):
        (folder / f"{number}.txt").touch()


FOLDERS: dict[str, Callable[[Path], None]] = {
    "a link to the folder above": link_back,
    "three links to the folder itself": link_many,
    "folders 1,200 deep": nest,
    "20,000 other files": fill,
    "a hidden picture": lambda folder: (folder / ".x.png").write_bytes(b"hidden") and None,
    "a folder that has no pictures": lambda folder: (folder / "none.png").mkdir(),
    "a link that leads nowhere": lambda folder: (folder / "gone").symlink_to("nowhere"),
}
"""What lies beside a good picture that must still be found, once."""
