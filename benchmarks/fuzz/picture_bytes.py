"""Writes pictures byte by byte, where Pillow writes no such ones: PNG, TIFF, GIF, BMP, WebP and others."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

Chunks = Iterable[tuple[bytes, bytes]]


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return what Pillow writes."""
    buffer = io.BytesIO()
    image.copy().save(buffer, format_name, **options)  # a copy: saving leaves settings behind
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(header: tuple[int, int, int, int], compressed: bytes, before: Chunks = (), after: Chunks = ()) -> bytes:
    """Return a PNG file of (width, height, bits, kind of colour) and compressed rows."""
    width, height, bits, kind = header
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    middle = b"".join(chunk(*entry) for entry in before) + chunk(b"IDAT", compressed)
    return b"\x89PNG\r\n\x1a\n" + head + middle + b"".join(chunk(*entry) for entry in after) + chunk(b"IEND", b"")


def png(pixels: np.ndarray, before: Chunks = (), after: Chunks = ()) -> bytes:
    """Return a PNG file of grey [H W] or colours [H W C], of 8 or 16 bits."""
    height, width, *channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels[0] if channels else 1]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png_of((width, height, 8 * pixels.itemsize, kind), zlib.compress(raw), before, after)


def zeros(count: int) -> bytes:
    """Return very many zeros, compressed, in little memory."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join(parts) + packer.compress(bytes(count & ((1 << 20) - 1))) + packer.flush()


def png_bomb(width: int, height: int, bits: int = 8, kind: int = 0) -> bytes:
    """Return a PNG file of zeros, a thousandth of its rows' size."""
    channels = {0: 1, 2: 3, 6: 4}[kind]
    return png_of((width, height, bits, kind), zeros(height * (1 + (width * bits * channels + 7) // 8)))


def tiff(
    pixels: np.ndarray, photometric: int = 1, order: str = "<", more: dict[int, tuple[int, int, int]] | None = None
) -> bytes:
    """Return a TIFF file of grey [H W], of any dtype, with further or other tags: {tag: (type, count, value)}."""
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    tags: dict[int, tuple[int, int, int]] = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8 * pixels.itemsize),
        259: (3, 1, 1),
        262: (3, 1, photometric),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, len(data)),
        339: (3, 1, sample_format),
    } | (more or {})
    directory = struct.pack(f"{order}H", len(tags))
    for tag, (kind, count, value) in sorted(tags.items()):
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    return head + data + directory + struct.pack(f"{order}I", 0)


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    """Return a GIF file that says these sizes, and holds one pixel."""
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return head + b"\x2c" + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x44\x01\0\x3b"


def webp(width: int, height: int) -> bytes:
    """Return a lossless WebP file that says this size, up to 16384, and holds next to nothing."""
    data = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(16)
    return (
        b"RIFF" + struct.pack("<I", 12 + len(data) + len(data) % 2) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    )


def bmp(width: int, height: int, compression: int = 0, data: bytes = bytes(64)) -> bytes:
    """Return a BMP file that says this size."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + head + bytes(1024) + data


def resize_jpeg(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG file that says another size than it has."""
    place = next(content.index(marker) for marker in (b"\xff\xc0\0", b"\xff\xc2\0") if marker in content)
    return content[: place + 5] + struct.pack(">HH", height, width) + content[place + 9 :]


def psd(width: int, height: int, channels: int = 3, data: bytes = b"") -> bytes:
    """Return a PSD file without layers, not compressed."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, 8, 3)
    return head + bytes(12) + b"\0\0" + data
