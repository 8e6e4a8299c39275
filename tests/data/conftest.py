"""Pictures in folders."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PICTURES = {
    "train": {"cat": ["b.JPEG", "a.jpg", "deep/c.png"], "dog": ["x.webp", "y.jpeg"], "élan": ["z.bmp"]},
    "val": {"cat": ["v.jpg"], "dog": ["w.jpg"], "élan": ["u.gif"]},
}


def encode_picture(seed: int, kind: str = "JPEG") -> bytes:
    """Return an encoded 30x40 picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def image_root(tmp_path) -> Path:
    """Return a folder of pictures with two splits, and with what is to be passed over."""
    root = tmp_path / "pictures"
    for split, classes in PICTURES.items():
        for class_name, names in classes.items():
            for name in names:
                path = root / split / class_name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                kind = {".jpg": "JPEG"}.get(path.suffix.lower(), path.suffix[1:].upper())
                path.write_bytes(encode_picture(len(str(path)), kind))
    (root / "test").mkdir()
    (root / "test" / "unlabelled.jpg").write_bytes(encode_picture(0))
    for passed_over in ("train/cat/.hidden.jpg", "train/cat/notes.txt", "train/.git/a.jpg", ".cache/x/a.jpg", "a.jpg"):
        (root / passed_over).parent.mkdir(parents=True, exist_ok=True)
        (root / passed_over).write_bytes(b"")
    return root
