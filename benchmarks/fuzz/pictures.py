"""Pictures: given to `explain.py`'s reader, and in an image folder, whose squares the network sees."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import EpsImagePlugin, Image

from benchmarks.fuzz import hostile_pictures as hostile
from benchmarks.fuzz.case import Case, Expected, Maker, Reader, Wrong, find_control
from benchmarks.fuzz.mutation import Rng, mutate
from benchmarks.fuzz.picture_bytes import encode
from benchmarks.fuzz.picture_files import RGB, Picture, opaque
from benchmarks.fuzz.rare_pictures import make_pictures
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from castream_jax.data import bad_records as records
from castream_jax.data.pictures.decoding import AS_SEEN
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import open_source
from castream_jax.explanation.pictures import find_pictures, name_outputs, name_pictures, read_picture

Read = list[tuple[Path, np.ndarray, list[np.ndarray]]]
"""Of each picture that is found: its file, pixels, and the squares made of it."""
GOOD = opaque(encode(RGB, "PNG"), ".png")
SQUARES = (Resize(224, "squash"), Resize(224, "crop"))
INSIDE = "train/a"


def see(path: Path, image: Image.Image) -> tuple[Path, np.ndarray, list[np.ndarray]]:
    """Return a picture's pixels and squares."""
    return path, np.asarray(image), [np.asarray(resize(image)) for resize in SQUARES]


def explain(arguments: list[str]) -> Read:
    """Read pictures as `explain.py` does, and name them."""
    paths = find_pictures(arguments)
    shown = name_pictures(paths)
    outputs = name_outputs(paths)
    if bad := [name for name in (*shown, *outputs) if find_control(name)]:
        raise Wrong(f"a name that is shown has a control character: {bad[0]!r}")
    if bad := [name for name in outputs if "/" in name or len(f"{name}.png".encode()) > 255]:
        raise Wrong(f"no name for a file: {bad[0]!r}")
    return [see(path, read_picture(path, AS_SEEN).image) for path in paths]


def open_dataset(root: Path) -> Read:
    """Read the pictures of an image folder as training and evaluation do."""
    source = open_source("image_folder", "train", str(root))
    return [see(Path(source.locate(i)), records.read_picture(source, i)[0].image) for i in range(len(source))]


ROADS: dict[str, Callable[[Path], Read]] = {"explain": lambda root: explain([str(root)]), "dataset": open_dataset}


def differs(pixels: np.ndarray, expected: np.ndarray, tolerance: int) -> str:
    """Return how far pixels are from what they should be; empty: not too far."""
    if pixels.shape != expected.shape:
        return f"{pixels.shape}: expected {expected.shape}"
    difference = np.abs(pixels.astype(int) - expected)
    at = tuple(map(int, np.unravel_index(difference.argmax(), difference.shape)))
    return "" if difference.max() <= tolerance else f"{pixels[at]} at {at}: expected {expected[at]}"


def check_any(found: Read) -> str:
    """Return what is wrong with pictures of which nothing is known."""
    for path, pixels, squares in found:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or not pixels.size:
            return f"{path.name} is {pixels.dtype} {pixels.shape}"
        if any(square.shape != (224, 224, 3) or square.dtype != np.uint8 for square in squares):
            return f"{path.name} has no square"
    return ""


def check_picture(picture: Picture, road: str) -> Callable[[Read], str]:
    """Return the check that one picture was found and is right; in datasets, pictures may be taken as stored."""

    def check(found: Read) -> str:
        if wrong := check_any(found):
            return wrong
        if len(found) != 1:
            return f"{len(found)} pictures are found: expected 1"
        ways = {"upright and on white": picture.upright} | ({"as stored": picture.stored} if road == "dataset" else {})
        wrong = [f"{way}: {differs(found[0][1], pixels, picture.tolerance)}" for way, pixels in ways.items()]
        return "" if any(text.endswith(": ") for text in wrong) else "; ".join(wrong)

    return check


def place(folder: Path) -> Path:
    """Return the folder of one class, which is made."""
    inside = folder / "pictures" / INSIDE
    inside.mkdir(parents=True, exist_ok=True)
    return inside


def case_of(folder: Path, road: str, expected: Expected = "either", picture: Picture | None = None) -> Case:
    """Return the case that reads a folder."""
    check = check_any if picture is None else check_picture(picture, road)
    return Case(lambda: ROADS[road](folder / "pictures"), check, expected)


@functools.cache
def known() -> dict[str, Picture]:
    """Return the pictures that should be read."""
    return make_pictures()


def valid(name: str, road: str) -> Maker:
    """Return the maker of a case with a picture that is right."""

    def make(folder: Path, _: Rng) -> Case:
        picture = known()[name]
        (place(folder) / f"x{picture.suffix}").write_bytes(picture.content)
        return case_of(folder, road, "right" if picture.must_read else "either", picture)

    return make


def of_bytes(content: Callable[[], bytes], suffix: str, road: str, expected: Expected) -> Maker:
    """Return the maker of a case with a file."""

    def make(folder: Path, _: Rng) -> Case:
        (place(folder) / f"x{suffix}").write_bytes(content())
        EpsImagePlugin.gs_binary = None  # it looks for its program once
        return case_of(folder, road, expected)

    return make


def beside_good(make_file: Callable[[Path], object], road: str, expected: Expected) -> Maker:
    """Return the maker of a case with something beside a good picture, which is found where anything is."""

    def make(folder: Path, _: Rng) -> Case:
        (place(folder) / "good.png").write_bytes(GOOD.content)
        make_file(place(folder))
        return case_of(folder, road, expected, GOOD)

    return make


def named_special(make_file: Callable[[Path], object]) -> Maker:
    """Return the maker of a case that names a file that is no regular one."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(folder / "x.png")
        return Case(lambda: explain([str(folder / "x.png")]), expected="message")

    return make


def named_so(name: str, content: bytes, road: str) -> Maker:
    """Return the maker of a case whose file has an odd name; where the file system has no such name, of none."""

    def make(folder: Path, _: Rng) -> Case:
        path = place(folder) / f"{name}.png"
        try:
            path.write_bytes(content)
        except OSError:
            return Case(lambda: explain([str(path)]), expected="message")
        return case_of(folder, road, "either" if content == GOOD.content else "message")

    return make


def classed_so(name: str, road: str) -> Maker:
    """Return the maker of a case whose class has an odd name."""

    def make(folder: Path, _: Rng) -> Case:
        try:
            inside = place(folder).with_name(name)
            inside.mkdir()
            (inside / "x.png").write_bytes(b"no picture")
        except OSError:
            pass
        (place(folder) / "good.png").write_bytes(b"no picture")
        return case_of(folder, road, "message")

    return make


def cut_short(name: str, share: float, road: str) -> Maker:
    """Return the maker of a case with a picture that ends too soon: all of it is there, or it is refused."""

    def make(folder: Path, _: Rng) -> Case:
        picture = known()[name]
        (place(folder) / f"x{picture.suffix}").write_bytes(picture.content[: int(len(picture.content) * share)])
        return case_of(folder, road, "either", picture)

    return make


ARGUMENTS = ("", "~nobody/x.png", "a\0b.png", "x" * 5_000, "\x1b[31mred.png", "**/" * 2_000, "[", "/proc/self/mem")
NAMED: dict[str, Maker] = {
    f"{name}, {road}": maker
    for road in ROADS
    for name, maker in {
        **{name: valid(name, road) for name in known()},
        **{f"{name}, cut at {share}": cut_short(name, share, road) for share in (0.3, 0.9)
           for name in ("jpeg", "jpeg, progressive", "png", "gif", "webp", "bmp", "tiff", "tiff, LZW")},
        **{name: of_bytes(lambda content=content: content, suffix, road, "message")
           for name, (content, suffix) in hostile.STRANGERS.items()},
        **{name: of_bytes(content, suffix, road, "either") for name, (content, suffix) in hostile.BOMBS.items()},
        **{f"{name} beside": beside_good(make, road, "right") for name, make in hostile.FOLDERS.items()},
        **{f"{name} beside": beside_good(lambda inside, make=make: make(inside / "x.png"), road, "either")
           for name, make in SPECIAL.items()},
        **{f"named {name}": named_so(text, GOOD.content, road) for name, text in NAMES.items()},
        **{f"named {name}, no picture": named_so(text, b"no picture", road) for name, text in NAMES.items()},
        **{f"class named {name}": classed_so(text, road) for name, text in NAMES.items() if "/" not in text},
    }.items()
} | {f"{name}, by name": named_special(make) for name, make in SPECIAL.items()} | {
    f"argument {text[:20]!r}": (lambda _, __, text=text: Case(lambda: explain([text]), expected="message"))
    for text in ARGUMENTS
}  # fmt: skip


def damage(folder: Path, rng: Rng) -> Case:
    """Return a case with a picture that was damaged."""
    names = [name for name, picture in known().items() if len(picture.content) < 50_000]
    name, other = (names[rng.integers(len(names))] for _ in range(2))
    content, how = mutate(known()[name].content, rng, known()[other].content)
    suffix = known()[name].suffix if rng.integers(2) else ".jpg"
    (place(folder) / f"x{suffix}").write_bytes(content)
    road = list(ROADS)[rng.integers(len(ROADS))]
    return replace(case_of(folder, road), name=f"{name}, {road}: {how}")


PICTURES = Reader("pictures", NAMED, damage, count=len(NAMED) + 400, prepare=lambda: len(known()))
