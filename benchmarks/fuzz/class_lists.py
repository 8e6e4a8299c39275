"""Lists of class names: text files with a name in each line."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.fuzz.case import Case, Maker, find_control
from benchmarks.fuzz.mutation import ON_TEXT, Rng, mutate
from benchmarks.fuzz.special_files import NAMES, SPECIAL
from castream_jax.data.classes.class_names import read_names

CLASSES = ("tench, Tinca tinca", "goldfish", "great white shark", "Été", "10", "猫", "a  b", "it's")
TEXT = "\n".join(CLASSES) + "\n"

READABLE = {
    "plain": (TEXT.encode(), CLASSES),
    "a byte order mark": (TEXT.encode("utf-8-sig"), CLASSES),
    "Windows's lines": (TEXT.replace("\n", "\r\n").encode(), CLASSES),
    "no line at the end": (TEXT.rstrip().encode(), CLASSES),
    "lines at the end": (TEXT.encode() + b"\n\n \n", CLASSES),
    "spaces around": ("".join(f"  {name}\t\n" for name in CLASSES).encode(), CLASSES),
    "one name": (b"cat", ("cat",)),
    "numbers": (b"10\n9\n8\n", ("10", "9", "8")),
    "a thousand names": ("".join(f"class {i}\n" for i in range(1_000)).encode(), [f"class {i}" for i in range(1_000)]),
}
"""Content and names."""

UNSURE = {
    "Macintosh's lines": TEXT.replace("\n", "\r").encode(),
    "a name twice": b"cat\ndog\ncat\n",
    "one name in two cases": b"Cat\ncat\n",
    "no-break spaces": "a\u00a0b\nc\n".encode(),
    "JSON": b'["cat", "dog"]',
    "a number before each": b"0 cat\n1 dog\n",
    "tabs": b"0\tcat\n1\tdog\n",
    "a comment": b"# classes\ncat\ndog\n",
}

REFUSED = {
    "nothing": b"",
    "lines without names": b"\n\n\n",
    "a line without a name": b"cat\n\ndog\n",
    "first line without a name": b"\ncat\n",
    "Latin-1": TEXT.encode("latin-1", "replace"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-32": TEXT.encode("utf-32"),
    "half a letter": TEXT.encode()[: TEXT.encode().index("猫".encode()) + 1],
    "surrogates": b"a\xed\xa0\x80\nb\n",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
}
SEPARATORS = {
    f"U+{ord(letter):04X} in a name": (f"a{letter}b\nc\n", letter)
    for letter in "\x00\x0b\x0c\x1b\x1c\x1d\x1e\x85\u2028\u2029\u202e\ufeff"
}
"""Letters at which Python ends a line and editors do not, or that a terminal obeys: no third class may come of them."""
SETTING = "--class_names=FILE"
"""What names the list, for messages."""


def is_list(names: Sequence[str]) -> str:
    """Return why names are no list of classes."""
    if not names or not all(type(name) is str and name for name in names):
        return f"no names: {names[:5]!r}"
    control = find_control("".join(names))
    return f"a control character {control!r}" if control else ""


def is_exactly(names: Sequence[str], expected: Sequence[str]) -> str:
    """Return how names differ from those expected."""
    return "" if tuple(names) == tuple(expected) else f"{list(names)[:9]}: expected {list(expected)[:9]}"


def list_case(folder: Path, content: bytes, **more: object) -> Case:
    """Return the case that reads a list."""
    path = folder / "classes.txt"
    path.write_bytes(content)
    return Case(lambda: read_names(path, SETTING), **more)  # type: ignore[arg-type]


def readable(content: bytes, names: Sequence[str]) -> Maker:
    """Return the maker of a list that is right."""
    return lambda folder, _: list_case(folder, content, check=lambda found: is_exactly(found, names), expected="right")


def of_text(content: bytes | Callable[[], bytes], expected: str) -> Maker:
    """Return the maker of a list of which no more is known than how it should end."""

    def make(folder: Path, _: Rng) -> Case:
        return list_case(folder, content() if callable(content) else content, check=is_list, expected=expected)

    return make


def separated(text: str, letter: str) -> Maker:
    """Return the maker of a list of two names, in one of which is an odd letter."""
    shown = f"a{letter}b"
    ways = ((shown, "c"), (shown.replace(letter, f"\\x{ord(letter):02x}"), "c"), ("ab", "c"))

    def check(found: Sequence[str]) -> str:
        return is_list(found) or ("" if len(found) == 2 else f"{list(found)}: expected one of {ways}")

    return lambda folder, _: list_case(folder, text.encode(), check=check)


def special(make_file: Callable[[Path], object]) -> Maker:
    """Return the maker of a case whose file is no regular one."""

    def make(folder: Path, _: Rng) -> Case:
        make_file(folder / "classes.txt")
        return Case(lambda: read_names(folder / "classes.txt", SETTING), expected="message")

    return make


def named_so(name: str) -> Maker:
    """Return the maker of a case whose file has an odd name and is not there."""
    return lambda folder, _: Case(lambda: read_names(folder / f"{name}.txt", SETTING), expected="message")


def large() -> bytes:
    """Return a list of very many names."""
    return b"".join(b"%d\n" % number for number in range(3_000_000))


NAMED: dict[str, Maker] = {
    **{f"list: {name}": readable(*entry) for name, entry in READABLE.items()},
    **{f"list: {name}": of_text(content, "either") for name, content in UNSURE.items()},
    **{f"list: {name}": of_text(content, "message") for name, content in REFUSED.items()},
    **{f"list: {name}": separated(*entry) for name, entry in SEPARATORS.items()},
    **{f"list: {name}": special(make) for name, make in SPECIAL.items()},
    **{f"list named {name}": named_so(text) for name, text in NAMES.items()},
    "list: three million names": of_text(large, "either"),
    "list: a name of 100 MB": of_text(lambda: b"x" * 100_000_000, "either"),
}


def damage(folder: Path, rng: Rng) -> Case:
    """Return a case with a list that was damaged."""
    content, how = mutate(TEXT.encode(), rng, TEXT.encode("utf-16"), ON_TEXT)
    return list_case(folder, content, check=is_list, name=f"list: {how}")
