"""Files that are no pictures, or should not be read."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_hostile(folder: Path) -> dict[str, Path]:
    """Return what is no image, a PNG of far more pixels than bytes, and a JPEG that is cut off."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6), 9))
        + chunk(b"IEND", b"")
    )
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    whole = io.BytesIO()
    noise.save(whole, "JPEG")
    contents = {
        "text.jpg": b"<script>alert(1)</script>",
        "bomb.png": bomb,
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "empty.png": b"",
    }
    paths = {name: folder / name for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name])
    return paths
