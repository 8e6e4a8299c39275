"""Pictures of formats that hold every kind of number, or that few use."""

from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.fuzz.picture_bytes import encode, png, psd, tiff
from benchmarks.fuzz.picture_files import (
    ALPHA,
    COLOURS,
    GREY,
    HEIGHT,
    LOSSY,
    PALETTE,
    RGB,
    WIDTH,
    Picture,
    make_jpegs,
    make_pngs,
    opaque,
    seen_through,
    thrice,
    turned,
)


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
    }
    return found | {name: replace(picture, must_read=False) for name, picture in rare.items()}


def make_long() -> dict[str, Picture]:
    """Return pictures of unusual shapes."""
    found = {}
    for width, height in ((2, 1), (1, 2), (1, 3000), (100_000, 1), (1, 60_000), (2_000, 1_500)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[..., 0] = np.arange(width) % 251
        pixels[..., 1] = (np.arange(height) % 241)[:, None]
        found[f"png, {width} x {height}"] = opaque(png(pixels), ".png", pixels)
    return found


def make_pictures() -> dict[str, Picture]:
    """Return them all."""
    return make_jpegs() | make_pngs() | make_tiffs() | make_others() | make_long()
