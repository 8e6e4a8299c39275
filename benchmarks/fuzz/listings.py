"""Listings of pictures, saved Arrow files and tars of samples."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from PIL import Image

from benchmarks.fuzz.case import Case, Expected, Maker, Reader
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.picture_bytes import encode
from benchmarks.fuzz.special_files import SPECIAL
from castream_jax.data.source import open_source

PICTURE = encode(Image.new("RGB", (8, 6), "red"), "PNG")
CSV = b'file_name,label,boxes\na.png,0,0.1 0.2 0.5 0.6\nb.png,1,"0 0 1 1;0.25 0.5 0.75 1"\n'
JSON = (
    b'{"file_name": "a.png", "label": 0, "boxes": [[0.1, 0.2, 0.5, 0.6]]}\n'
    b'{"file_name": "b.png", "label": "1", "boxes": "0 0 1 1"}\n'
)
REFUSED = {
    "nothing": b"",
    "a header alone": b"file_name,label\n",
    "no header": b"a.png,0\nb.png,1\n",
    "UTF-16": CSV.decode().encode("utf-16"),
    "a quote without end": CSV + b'"a.png,0,',
    "a value too many": CSV + b"c.png,0,,1\n",
    "a label below 0": CSV.replace(b",1,", b",-1,"),
    "a label of a million digits": CSV.replace(b",1,", b"," + b"9" * 1_000_000 + b","),
    "boxes in pixels": CSV.replace(b"0.5 0.6", b"50 60"),
    "boxes that are NaN": CSV.replace(b"0.5 0.6", b"nan nan"),
    "boxes of a million digits": CSV.replace(b"0.5 0.6", b"1" * 1_000_000 + b"x"),
    "a picture that is not there": CSV.replace(b"a.png", b"z.png"),
    "a picture twice": CSV.replace(b"b.png", b"a.png"),
    "a folder as a picture": CSV.replace(b"a.png", b"."),
    "a NUL in a name": CSV.replace(b"a.png", b"a\0.png"),
}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the records of all that lies at a path."""
    source = open_source(str(path), "all")
    return [source[index] for index in range(len(source))]


def check(found: list[dict[str, Any]]) -> str:
    """Return what is wrong with records of which nothing is known."""
    for record in found:
        boxes = np.asarray(record.get("bbox", np.zeros((0, 4))))
        if not isinstance(record["image"], bytes) or type(record["label"]) is not int or record["label"] < 0:
            return f"a record {record}"
        if not ((boxes >= -0.001) & (boxes <= 1.001)).all() or (boxes[:, :2] >= boxes[:, 2:]).any():
            return f"boxes {boxes.tolist()}"
    return "" if found else "no records"


def is_right(found: list[dict[str, Any]]) -> str:
    """Return what is wrong with the records of what is not damaged."""
    labels = sorted(record["label"] for record in found)
    return check(found) or ("" if labels == [0, 1] and found[0]["image"] == PICTURE else f"labels {labels}")


def save_tar() -> bytes:
    """Return a tar of two samples."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("a.png", PICTURE), ("a.cls", b"0"), ("b.png", PICTURE), ("b.cls", b"1")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def save_arrow() -> bytes:
    """Return an Arrow stream of two rows."""
    buffer = io.BytesIO()
    table = pa.table({"image": [{"bytes": PICTURE, "path": None}] * 2, "label": [0, 1]})
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
FILES: dict[str, dict[str, bytes]] = {
    "metadata.csv": {"metadata.csv": CSV},
    "metadata.jsonl": {"metadata.jsonl": JSON},
    "0.tar": {"0.tar": save_tar()},
    "state.json": {
        "state.json": json.dumps({"_data_files": [{"filename": "d.arrow"}]}).encode(),
        "dataset_info.json": json.dumps({"features": FEATURES}).encode(),
        "d.arrow": save_arrow(),
    },
}
"""What each kind of dataset consists of, beside its pictures."""


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a dataset, and return its folder."""
    place = folder / "set"
    place.mkdir()
    for name, content in {"a.png": PICTURE, "b.png": PICTURE, **files}.items():
        (place / name).write_bytes(content)
    return place


def of_files(files: dict[str, bytes], expected: Expected, test: Callable[[Any], str] = check) -> Maker:
    """Return the maker of a case with these files."""

    def make(folder: Path, _: Rng) -> Case:
        place = lay(folder, files)
        return Case(lambda: read(place), test, expected)

    return make


def special(make_file: Callable[[Path], object]) -> Maker:
    """Return the maker of a case whose listing is no regular file."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(lay(folder, {}) / "x.csv")
        return Case(lambda: read(folder / "set" / "x.csv"), check, "message")

    return make


def damage(folder: Path, rng: Rng) -> Case:
    """Return the case of a dataset of which one file is damaged."""
    files = FILES[list(FILES)[rng.integers(len(FILES))]]
    name = list(files)[rng.integers(len(files))]
    content, how = mutate(files[name], rng, JSON, ON_TEXT)
    place = lay(folder, files | {name: content})
    return Case(lambda: read(place), check, "either", f"{name}: {how}")


NAMED: dict[str, Maker] = {
    **{f"listing: {name}": of_files(files, "right", is_right) for name, files in FILES.items()},
    **{f"listing: {name}": of_files({"metadata.csv": content}, "message") for name, content in REFUSED.items()},
    **{f"listing: {name}": special(make) for name, make in SPECIAL.items()},
}
LISTINGS = Reader("listings", NAMED, damage, count=len(NAMED) + 200)
