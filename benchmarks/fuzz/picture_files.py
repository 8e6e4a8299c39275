"""Pictures as they are found, each with the pixels that people see in it and those that are stored."""

import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.fuzz.picture_bytes import encode, png, psd, tiff

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


TURNS = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: np.transpose(a, (1, 0, 2)),
         6: lambda a: np.rot90(a, -1), 7: lambda a: np.transpose(np.rot90(a, 2), (1, 0, 2)), 8: np.rot90}  # fmt: skip
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
    key = np.where(GREY == GREY[0, 0], 0, 255).astype(np.uint8)
    grey16 = GREY.astype(np.uint16) * 257
    alphas = bytes(range(0, 200))
    indices = np.asarray(PALETTE)
    palette = np.asarray(PALETTE.convert("RGB"))
    rgba = np.dstack([COLOURS, ALPHA])
    bits = (GREY > 100).astype(np.uint8) * 255
    colour_key = np.where((COLOURS == COLOURS[3, 5]).all(-1), 0, 255).astype(np.uint8)
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
        "png, 12 of 16 bits": opaque(png(GREY.astype(np.uint16) * 16), ".png", thrice(GREY), tolerance=2, must_read=False),
        "png, gamma, physical size and text": opaque(
            png(COLOURS, [(b"gAMA", b"\0\0\xb1\x8f"), (b"pHYs", bytes(9)), (b"tEXt", b"a\0b")]), ".png"
        ),
        "png, a profile that is none": opaque(png(COLOURS, [(b"iCCP", b"a\0\0" + zlib.compress(b"x"))]), ".png"),
    }
    return found | {f"png, orientation {turn}": turned("PNG", ".png", turn) for turn in (3, 6)}


def make_tiffs() -> dict[str, Picture]:
    """Return TIFF files of every kind of number."""
    grey16 = GREY.astype(np.uint16) * 257
    grey = thrice(GREY)
    either = {"must_read": False, "tolerance": 1}
    rgba = Image.fromarray(np.dstack([COLOURS, ALPHA]))
    found = {
        "tiff": opaque(encode(RGB, "TIFF"), ".tif"),
        "tiff, LZW": opaque(encode(RGB, "TIFF", compression="tiff_lzw"), ".tiff"),
        "tiff, deflate": opaque(encode(RGB, "TIFF", compression="tiff_adobe_deflate"), ".tiff"),
        "tiff, JPEG": opaque(encode(RGB, "TIFF", compression="jpeg", quality=95), ".tiff", tolerance=LOSSY),
        "tiff, CMYK": opaque(encode(RGB.convert("CMYK"), "TIFF"), ".tif", tolerance=2),
        "tiff, RGBA": seen_through(encode(rgba, "TIFF"), ".tif", COLOURS, ALPHA),
        "tiff, two pages": opaque(encode(RGB, "TIFF", save_all=True, append_images=[PALETTE]), ".tif"),
        "tiff, grey": opaque(tiff(GREY), ".tif", grey),
        "tiff, zero is white": opaque(tiff(255 - GREY, photometric=0), ".tif", grey),
        "tiff, big-endian": opaque(tiff(grey16, order=">"), ".tif", grey),
        "tiff, 16 bits": opaque(tiff(grey16), ".tif", grey),
        "tiff, 16 bits, zero is white": opaque(tiff(65535 - grey16, photometric=0), ".tif", grey, **either),
        "tiff, 16 bits with sign": opaque(tiff((grey16 // 2).astype(np.int16)), ".tif", grey, **either),
        "tiff, 12 of 16 bits": opaque(tiff(GREY.astype(np.uint16) * 16), ".tif", grey, tolerance=2, must_read=False),
        "tiff, 32 bits": opaque(tiff(grey16.astype(np.uint32) * 65537), ".tif", grey, **either),
        "tiff, 32 bits with sign": opaque(tiff(grey16.astype(np.int32) * 32768), ".tif", grey, **either),
        "tiff, 8 bits with sign": opaque(tiff((GREY // 2).astype(np.int8)), ".tif", grey, must_read=False, tolerance=3),
        "tiff, floats in 0..1": opaque(tiff(GREY.astype(np.float32) / 255), ".tif", grey, **either),
        "tiff, floats in 0..255": opaque(tiff(GREY.astype(np.float32)), ".tif", grey, **either),
        "tiff, floats in 0..65535": opaque(tiff(grey16.astype(np.float32)), ".tif", grey, **either),
        "tiff, floats of 64 bits": opaque(tiff(GREY / 255), ".tif", grey, **either),
    }
    return found | {f"tiff, orientation {turn}": turned("TIFF", ".tif", turn) for turn in (3, 6)}


def netpbm(kind: str, largest: int, values: np.ndarray) -> bytes:
    """Return a PGM or PPM file, whose numbers go up to `largest`."""
    height, width = values.shape[:2]
    return f"{kind} {width} {height} {largest}\n".encode() + values.astype(">u2" if largest > 255 else "u1").tobytes()


def make_others() -> dict[str, Picture]:
    """Return the other formats; those that few use may be refused, but not read wrongly."""
    index = np.asarray(PALETTE)
    palette = np.asarray(PALETTE.convert("RGB"))
    clear = np.where(index == 3, 0, 255)
    rgba = Image.fromarray(np.dstack([COLOURS, ALPHA]))
    cut = seen_through(encode(rgba, "WEBP", lossless=True, exact=True), ".webp", COLOURS, ALPHA)
    share = GREY / 255
    found = {
        "gif": opaque(encode(PALETTE, "GIF"), ".gif", palette),
        "gif, transparent": seen_through(encode(PALETTE, "GIF", transparency=3), ".gif", palette, clear),
        "gif, several frames": opaque(
            encode(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]), ".gif", palette
        ),
        "webp": opaque(encode(RGB, "WEBP", lossless=True), ".webp"),
        "webp, with loss": opaque(encode(RGB, "WEBP", quality=100), ".webp", tolerance=2 * LOSSY),
        "webp, RGBA": replace(cut, tolerance=1),
        "webp, several frames": opaque(
            encode(RGB, "WEBP", lossless=True, save_all=True, append_images=[PALETTE.convert("RGB")]), ".webp"
        ),
        "webp, orientation 6": turned("WEBP", ".webp", 6, lossless=True),
        "bmp": opaque(encode(RGB, "BMP"), ".bmp"),
        "bmp, palette": opaque(encode(PALETTE, "BMP"), ".bmp", palette),
    }
    rare = {
        "ppm": opaque(encode(RGB, "PPM"), ".ppm"),
        "ppm of 100 steps": opaque(netpbm("P6", 100, COLOURS / 2.55), ".ppm", tolerance=3),
        "pgm of 12 bits": opaque(netpbm("P5", 4095, share * 4095), ".pgm", thrice(GREY), tolerance=1),
        "pgm of 16 bits": opaque(netpbm("P5", 65535, share * 65535), ".pgm", thrice(GREY), tolerance=1),
        "pfm": opaque(encode(Image.fromarray(share.astype(np.float32)), "PPM"), ".pfm", thrice(GREY), tolerance=1),
        "ico": opaque(encode(RGB, "ICO", sizes=[(WIDTH, HEIGHT)]), ".ico"),
        "tga": opaque(encode(RGB, "TGA"), ".tga"),
        "tga, RGBA": seen_through(encode(rgba, "TGA"), ".tga", COLOURS, ALPHA),
        "pcx": opaque(encode(RGB, "PCX"), ".pcx"),
        "sgi": opaque(encode(RGB, "SGI"), ".sgi"),
        "dds": opaque(encode(RGB, "DDS"), ".dds"),
        "qoi": opaque(encode(RGB, "QOI"), ".qoi"),
        "jpeg 2000": opaque(encode(RGB, "JPEG2000"), ".jp2", tolerance=2),
        "avif": opaque(encode(RGB, "AVIF", quality=100, subsampling="4:4:4"), ".avif", tolerance=LOSSY),
        "psd": opaque(psd(WIDTH, HEIGHT, 3, COLOURS.transpose(2, 0, 1).tobytes()), ".psd"),
        "im, floats in 0..1": opaque(encode(Image.fromarray(share.astype(np.float32)), "IM"), ".im", thrice(GREY), tolerance=1),
    }
    return found | {name: replace(picture, must_read=False) for name, picture in rare.items()}


def make_long() -> dict[str, Picture]:
    """Return pictures of unusual shapes."""
    found = {}
    for width, height in ((1, 1), (2, 1), (1, 3000), (100_000, 1), (1, 60_000), (2_000, 1_500)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[..., 0] = np.arange(width) % 251
        pixels[..., 1] = (np.arange(height) % 241)[:, None]
        found[f"png, {width} x {height}"] = opaque(png(pixels), ".png", pixels)
    return found


def make_pictures() -> dict[str, Picture]:
    """Return them all."""
    return make_jpegs() | make_pngs() | make_tiffs() | make_others() | make_long()
