"""Damage to bytes, as disks, networks, editors and enemies do it."""

import re
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"inf", b"9" * 30, b"-0.0", b"0x10", b"", b"2147483648", b"\xd9\xa3")
TEXTS = (b"\x00", b"\xff" * 8, b"\x1b[31m", b"../../../../tmp/x", b"\xed\xa0\x80", b"<", b'"', b"{", b"A" * 5_000)
HUGE = tuple(bytes.fromhex(digits) for digits in ("ffffffff", "7fffffff", "ffffff7f", "00000080", "f" * 15 + "7"))


def span(length: int, rng: Rng) -> tuple[int, int]:
    """Return a random range, more often a short one."""
    start = int(rng.integers(length + 1))
    return start, min(length, start + int(2 ** rng.uniform(0, np.log2(length + 2))))


def flip(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Flip some bits."""
    damaged = bytearray(content)
    for _i in range(int(rng.integers(1, 9)) if content else 0):
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def cut(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Leave the end away."""
    return content[: rng.integers(len(content) + 1)]


def drop(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Leave a range away."""
    start, stop = span(len(content), rng)
    return content[:start] + content[stop:]


def insert(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Put in random bytes, or some that mean something somewhere."""
    place = int(rng.integers(len(content) + 1))
    new = TEXTS[rng.integers(len(TEXTS))] if rng.integers(2) else rng.bytes(int(rng.integers(1, 65)))
    return content[:place] + new + content[place:]


def repeat(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Put in a range once more."""
    start, stop = span(len(content), rng)
    return content[:stop] + content[start:]


def enlarge(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Set four or eight bytes, which may be a length, to a huge number."""
    new = HUGE[rng.integers(len(HUGE))]
    place = int(rng.integers(max(len(content) - len(new), 0) + 1))
    return content[:place] + new + content[place + len(new) :]


def splice(content: bytes, rng: Rng, other: bytes) -> bytes:
    """Go on as another file."""
    return content[: rng.integers(len(content) + 1)] + other[rng.integers(len(other) + 1) :]


def renumber(content: bytes, rng: Rng, _: bytes) -> bytes:
    """Write another number in the place of one, as text."""
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers:
        return content
    found = numbers[rng.integers(len(numbers))]
    return content[: found.start()] + NUMBERS[rng.integers(len(NUMBERS))] + content[found.end() :]


Operation = Callable[[bytes, Rng, bytes], bytes]
ON_BYTES: tuple[Operation, ...] = (flip, flip, cut, drop, insert, repeat, enlarge, splice)
ON_TEXT: tuple[Operation, ...] = (flip, cut, drop, insert, repeat, splice, renumber, renumber, renumber)


def mutate(
    content: bytes, rng: Rng, other: bytes = b"", operations: tuple[Operation, ...] = ON_BYTES
) -> tuple[bytes, str]:
    """Return content damaged one to three times, and how."""
    chosen = [operations[rng.integers(len(operations))] for _ in range(int(rng.integers(1, 4)))]
    for operation in chosen:
        content = operation(content, rng, other)
    return content, "+".join(operation.__name__ for operation in chosen)
