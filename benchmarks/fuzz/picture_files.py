"""Pictures as they are found, each with the pixels that people see in it and those that are stored."""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.fuzz.picture_bytes import encode, png

HEIGHT, WIDTH = 20, 32
LOSSY = 14
"""How far a colour may be off in what is stored with loss."""


@dataclass(frozen=True)
class Picture:
    """A file, and what it shows."""

    content: bytes
    suffix: str
    upright: np.ndarray
    """Turned as its orientation says and on white, uint8 [H W 3]."""
    stored: np.ndarray
    """As stored, alpha dropped."""
    tolerance: int = 0
    must_read: bool = True
    """It is of a format that is meant; otherwise it may be refused too."""


def make_colours() -> np.ndarray:
    """Return colours [H W 3] that change slowly and are the same nowhere."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([20 + 6 * x, 10 + 11 * y, 230 - 4 * x - 4 * y], -1).astype(np.uint8)


COLOURS = make_colours()
GREY = COLOURS[..., 0]
ALPHA = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).round().astype(np.uint8)
RGB = Image.fromarray(COLOURS)
PALETTE = RGB.quantize(200, Image.Quantize.MEDIANCUT)


def thrice(grey: np.ndarray) -> np.ndarray:
    """Return grey as colours."""
    return np.repeat(grey[..., None], 3, -1)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return colours on white."""
    share = alpha[..., None] / 255
    return (colours * share + 255 * (1 - share)).round().astype(np.uint8)


def opaque(content: bytes, suffix: str, pixels: np.ndarray = COLOURS, **more: Any) -> Picture:
    """Return a picture that people see as it is stored."""
    return Picture(content, suffix, pixels, pixels, **more)


def seen_through(content: bytes, suffix: str, colours: np.ndarray, alpha: np.ndarray, **more: Any) -> Picture:
    """Return a picture that is transparent in places."""
    return Picture(content, suffix, on_white(colours, alpha), colours, tolerance=1, **more)


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""From stored to upright, for each EXIF orientation."""


def turned(format_name: str, suffix: str, orientation: int, **options: Any) -> Picture:
    """Return a picture with an EXIF orientation; one that is none says nothing."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(RGB, format_name, exif=exif, **options)
    turn = TURNS.get(orientation, TURNS[1])
    tolerance = 0 if format_name in ("PNG", "TIFF") or options.get("lossless") else LOSSY
    return Picture(content, suffix, np.ascontiguousarray(turn(COLOURS)), COLOURS, tolerance)


def make_jpegs() -> dict[str, Picture]:
    """Return JPEG files."""
    plain = encode(RGB, "JPEG", quality=95, subsampling=0)
    cmyk = encode(RGB.convert("CMYK"), "JPEG", quality=95)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.txt", "hidden")
    other = Image.fromarray(255 - COLOURS)
    lossy = {
        "jpeg": (plain, ".jpg", COLOURS),
        "jpeg in capitals": (plain, ".JPEG", COLOURS),
        "jpeg called png": (plain, ".png", COLOURS),
        "jpeg, progressive": (encode(RGB, "JPEG", quality=95, progressive=True), ".jpg", COLOURS),
        "jpeg, coarse colours": (encode(RGB, "JPEG", quality=95, subsampling=2), ".jpg", COLOURS),
        "jpeg, grey": (encode(Image.fromarray(GREY), "JPEG", quality=95), ".jpg", thrice(GREY)),
        "jpeg, CMYK": (cmyk, ".jpg", COLOURS),
        "jpeg and a zip after it": (plain + archive.getvalue(), ".jpg", COLOURS),
        "jpeg and zeros after it": (plain + bytes(100_000), ".jpg", COLOURS),
        "jpeg of two pictures (MPO)": (
            encode(RGB, "MPO", save_all=True, append_images=[other], quality=95), ".jpg", COLOURS
        ),
    }  # fmt: skip
    found = {name: opaque(*entry, tolerance=LOSSY) for name, entry in lossy.items()}
    for orientation in (*TURNS, 0, 9, 65535):
        found[f"jpeg, orientation {orientation}"] = turned("JPEG", ".jpg", orientation, quality=95, subsampling=0)
    return found


def make_pngs() -> dict[str, Picture]:
    """Return PNG files of every kind of colour."""
    key = np.where(GREY[0, 0] == GREY, 0, 255).astype(np.uint8)
    grey16 = GREY.astype(np.uint16) * 257
    alphas = bytes(range(0, 200))
    indices = np.asarray(PALETTE)
    palette = np.asarray(PALETTE.convert("RGB"))
    rgba = np.dstack([COLOURS, ALPHA])
    bits = (GREY > 100).astype(np.uint8) * 255
    colour_key = np.where((COLOURS[3, 5] == COLOURS).all(-1), 0, 255).astype(np.uint8)
    found = {
        "png": opaque(encode(RGB, "PNG"), ".png"),
        "png called jpg": opaque(encode(RGB, "PNG"), ".jpg"),
        "png, grey": opaque(png(GREY), ".png", thrice(GREY)),
        "png, one bit": opaque(encode(Image.fromarray(bits).convert("1"), "PNG"), ".png", thrice(bits)),
        "png, palette": opaque(encode(PALETTE, "PNG"), ".png", palette),
        "png, palette of two bits": opaque(
            encode(RGB.quantize(4), "PNG", bits=2), ".png", np.asarray(RGB.quantize(4).convert("RGB"))
        ),
        "png, 16 bits of grey": opaque(png(grey16), ".png", thrice(GREY)),
        "png, 16 bits of colour": opaque(png(COLOURS.astype(np.uint16) * 257), ".png", COLOURS),
        "png, several frames": opaque(
            encode(RGB, "PNG", save_all=True, append_images=[Image.fromarray(255 - COLOURS)]), ".png"
        ),
        "png, RGBA": seen_through(png(rgba), ".png", COLOURS, ALPHA),
        "png, RGBA of 16 bits": seen_through(png(rgba.astype(np.uint16) * 257), ".png", COLOURS, ALPHA),
        "png, grey and alpha": seen_through(png(np.dstack([GREY, ALPHA])), ".png", thrice(GREY), ALPHA),
        "png, one transparent grey": seen_through(
            png(GREY, [(b"tRNS", bytes([0, GREY[0, 0]]))]), ".png", thrice(GREY), key
        ),
        "png, one transparent grey of 16 bits": seen_through(
            png(grey16, [(b"tRNS", int(grey16[0, 0]).to_bytes(2, "big"))]), ".png", thrice(GREY), key
        ),
        "png, one transparent colour": seen_through(
            encode(RGB, "PNG", transparency=tuple(map(int, COLOURS[3, 5]))), ".png", COLOURS, colour_key
        ),
        "png, one transparent index": seen_through(
            encode(PALETTE, "PNG", transparency=3), ".png", palette, np.where(indices == 3, 0, 255)
        ),
        "png, palette with alpha": seen_through(
            encode(PALETTE, "PNG", transparency=alphas), ".png", palette, np.array([*alphas, *[255] * 56])[indices]
        ),
        "png, 12 of 16 bits": opaque(
            png(GREY.astype(np.uint16) * 16), ".png", thrice(GREY), tolerance=2, must_read=False
        ),
        "png, gamma, physical size and text": opaque(
            png(COLOURS, [(b"gAMA", b"\0\0\xb1\x8f"), (b"pHYs", bytes(9)), (b"tEXt", b"a\0b")]), ".png"
        ),
        "png, a profile that is none": opaque(png(COLOURS, [(b"iCCP", b"a\0\0" + zlib.compress(b"x"))]), ".png"),
    }
    return found | {f"png, orientation {turn}": turned("PNG", ".png", turn) for turn in (3, 6)}
