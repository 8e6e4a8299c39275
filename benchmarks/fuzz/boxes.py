"""Boxes beside an image folder, and lists of class names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.fuzz import box_files as files
from benchmarks.fuzz import class_lists
from benchmarks.fuzz.case import Case, Expected, Maker, Reader
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.picture_bytes import encode
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from castream_jax.data import bad_records as records
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import open_source

PICTURE = encode(Image.new("RGB", (files.WIDTH, files.HEIGHT), "red"), "PNG")
SAME_SIZE = Resize(120, "squash")
"""Of the picture, whose sides divide it: a mask grows by whole pixels."""


def read(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the boxes and the mask of each picture, as evaluation reads them."""
    source = open_source("image_folder", "val", str(folder / "pictures"), str(folder / "boxes"))
    found = []
    for index in range(len(source)):
        _, record, mask = records.read_picture(source, index, SAME_SIZE)
        assert mask is not None
        found.append((np.asarray(record["bbox"]), mask))
    return found


def check_any(found: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Return what is wrong with boxes of which nothing is known: they can be none."""
    for boxes, mask in found:
        if mask.shape != (120, 120) or mask.dtype != bool:
            return f"a mask of {mask.dtype} {mask.shape}"
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
            return f"boxes {boxes.tolist()[:3]}"
        if (boxes[:, :2] > boxes[:, 2:]).any():
            return f"corners the other way round: {boxes.tolist()[:3]}"
    return ""


def check_truth(truth: np.ndarray) -> Callable[[Any], str]:
    """Return the check that the first picture's object is there."""

    def check(found: list[tuple[np.ndarray, np.ndarray]]) -> str:
        grown = truth.repeat(120 // files.HEIGHT, 0).repeat(120 // files.WIDTH, 1)
        return check_any(found) or ("" if np.array_equal(found[0][1], grown) else f"boxes {found[0][0].tolist()}")

    return check


def lay(folder: Path, content: bytes | None, name: str = "x") -> Path:
    """Write the picture and its file of boxes, and return the place of that file."""
    pictures, boxes = folder / "pictures" / "val" / files.CLASS, folder / "boxes" / files.CLASS
    pictures.mkdir(parents=True)
    boxes.mkdir(parents=True)
    (pictures / f"{name}.png").write_bytes(PICTURE)
    if content is not None:
        (boxes / f"{name}.xml").write_bytes(content)
    return boxes / f"{name}.xml"


def of_content(content: Any, expected: Expected, check: Callable[[Any], str] = check_any) -> Maker:
    """Return the maker of a case with a file of boxes."""

    def make(folder: Path, _: Rng) -> Case:
        made = content() if callable(content) else content
        lay(folder, made.encode() if isinstance(made, str) else made)
        return Case(lambda: read(folder), check, expected)

    return make


def special(make_file: Callable[[Path], object]) -> Maker:
    """Return the maker of a case whose file of boxes is no regular one."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(lay(folder, None))
        return Case(lambda: read(folder), check_any, "message")

    return make


def named_so(name: str) -> Maker:
    """Return the maker of a case whose picture and boxes have an odd name, and whose boxes are none."""

    def make(folder: Path, _: Rng) -> Case:
        try:
            lay(folder, b"no boxes", name)
        except OSError:  # no such name here
            return Case(lambda: read(folder / name), expected="message")
        return Case(lambda: read(folder), check_any, "message")

    return make


def beside(make: Callable[[Path], object], expected: Expected = "right") -> Maker:
    """Return the maker of a case with something beside the right file of boxes."""

    def make_case(folder: Path, _: Rng) -> Case:
        make(lay(folder, files.PLAIN.encode()).parent)
        return Case(lambda: read(folder), check_truth(files.TRUTH), expected)

    return make_case


def add_namesake(inside: Path) -> None:
    """Write another class's file of the same name, of another box."""
    other = inside.with_name("cat")
    other.mkdir()
    (other / "x.xml").write_text(files.describe(files.describe_object((0, 0, 1, 1), "cat")))


BESIDE: dict[str, Callable[[Path], object]] = {
    "a file of that name for another class": add_namesake,
    "a link to the folder above": lambda inside: (inside / "loop").symlink_to(".."),
    "another file that is broken": lambda inside: (inside / "y.xml").write_text("no boxes"),
    "a folder that ends in .xml": lambda inside: (inside / "z.xml").mkdir(),
    "a fifo that no picture has": lambda inside: os.mkfifo(inside / "y.xml"),
    "10,000 other files": lambda inside: [(inside / f"{i}.xml").touch() for i in range(10_000)],
}

NAMED: dict[str, Maker] = {
    **{f"boxes: {name}": of_content(content, "right", check_truth(truth))
       for name, (content, truth) in files.READABLE.items()},
    **{f"boxes: {name}": of_content(content, "either") for name, content in files.SAME.items()},
    **{f"boxes: {name}": of_content(content, "message") for name, content in files.REFUSED.items()},
    **{f"boxes: {name}": of_content(content, "either") for name, content in files.LARGE.items()},
    **{f"boxes: {name}": special(make) for name, make in SPECIAL.items() if name != "missing"},
    **{f"boxes named {name}": named_so(text) for name, text in NAMES.items()},
    **{f"boxes beside {name}": beside(make) for name, make in BESIDE.items()},
    **class_lists.NAMED,
}  # fmt: skip


def damage(folder: Path, rng: Rng) -> Case:
    """Return a case with a file of boxes, or a list, that was damaged."""
    if rng.integers(4) == 0:
        return class_lists.damage(folder, rng)
    seeds = [content for content, _ in files.READABLE.values()]
    content, how = mutate(seeds[rng.integers(len(seeds))], rng, files.SAME["two sizes"].encode(), ON_TEXT)
    lay(folder, content)
    return Case(lambda: read(folder), check_any, name=f"boxes: {how}")


BOXES = Reader("boxes", NAMED, damage, count=len(NAMED) + 200)
