"""An input of a reader with what is known of it, and how reading it ends."""

import contextlib
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.fuzz.watch import OutOfTime, Watch, list_tree
from castream_jax.errors import InputError

Expected = Literal["right", "message", "either"]
LONGEST_MESSAGE = 20_000
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MOST_MEGABYTES = 1_000
"""Of memory over the start of the process."""
GOOD = ("right", "message")
"""How a case may end. Every other word is a failure:

    wrong       it was read as something else than it is
    accepted    it was read, and should have been refused
    refused     it was refused, and should have been read
    unfit       the message has control characters, an object's address or no end
    traceback   another exception than the one that a user's mistake raises
    memory, timeout, crash, process, network, write   what it did
"""


class Wrong(Exception):
    """What a reader has done on the way is wrong: its message says what."""


@dataclass(frozen=True)
class Case:
    """One input."""

    read: Callable[[], Any]
    check: Callable[[Any], str] = lambda _: ""
    """Say what is wrong with what was read; empty: nothing."""
    expected: Expected = "either"
    name: str = ""
    """Where the reader's table does not name it."""


Maker = Callable[[Path, np.random.Generator], Case]
"""Writes the files of a case into a folder."""


@dataclass(frozen=True)
class Reader:
    """What is read, from where."""

    name: str
    named: Mapping[str, Maker]
    """Cases that are made on purpose: they come first."""
    mutated: Maker
    """Every further case."""
    count: int
    """Cases of a whole run."""
    prepare: Callable[[], None] = lambda: None
    """Do what is done once, before anything is measured."""
    seconds: float = 30.0
    """The longest that a case may take."""
    runs_code: bool = False
    """What is read is a program of the user's, and says itself that it has no memory."""

    def make(self, number: int, seed: int, folder: Path) -> tuple[str, Case]:
        """Write the files of a case, the same for the same number and seed, and return its name and itself."""
        rng = np.random.default_rng((seed, number, zlib.crc32(self.name.encode())))
        if number < len(self.named):
            name = list(self.named)[number]
            return name, self.named[name](folder, rng)
        case = self.mutated(folder, rng)
        return case.name, case


@dataclass(frozen=True)
class Ending:
    """How a case ended."""

    number: int
    name: str
    outcome: str
    said: str
    """The message, or what went wrong."""
    seconds: float
    megabytes: float
    """The highest use of memory, over the start of the process."""


def run_case(reader: Reader, number: int, seed: int, folder: Path, watch: Watch) -> Ending:
    """Make a case in an empty folder, read it, and return how that ended; only `folder`/out may be written to."""
    out = folder / "out"
    out.mkdir(parents=True)
    name, case = reader.make(number, seed, folder)
    before = list_tree(folder, out)
    start = time.monotonic()
    outcome, said = "timeout", ""
    with contextlib.suppress(OutOfTime), watch.over(out, reader.seconds):
        outcome, said = attempt(case)
    seconds = time.monotonic() - start
    if outcome in GOOD and case.expected not in ("either", outcome):
        outcome = "accepted" if outcome == "right" else "refused"
    if new := list_tree(folder, out) - before:
        watch.noted.append(("write", ", ".join(sorted(new)[:5])))
    if watch.noted:
        outcome, said = watch.noted[0][0], f"{watch.noted[0][1]}; {outcome}: {said}"
    elif watch.megabytes > MOST_MEGABYTES or ("MemoryError" in said and not reader.runs_code):
        outcome = "memory"
    return Ending(number, name, outcome, said, seconds, watch.megabytes)


def attempt(case: Case) -> tuple[str, str]:
    """Read, and return how it ended and what was said."""
    try:
        wrong = case.check(case.read())
    except InputError as error:
        unfit = find_unfit(str(error))
        return ("unfit", f"{unfit}: {error}"[:LONGEST_MESSAGE]) if unfit else ("message", str(error))
    except OutOfTime:
        raise
    except Wrong as error:
        return "wrong", str(error)
    except MemoryError as error:
        return "memory", repr(error)
    except BaseException as error:  # also an exit, and what a panic of Rust's becomes
        return "traceback", f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
    return ("wrong", wrong) if wrong else ("right", "")


def find_unfit(message: str) -> str:
    """Return why a message should not be shown as it is; empty: it may be."""
    lists = message.replace("\n  ", "")  # one thing a line, indented
    if control := find_control(lists):
        return f"control character {control!r}"
    if " object at 0x" in message:
        return "an object's address"
    if len(message) > LONGEST_MESSAGE:
        return f"{len(message):,} characters"
    return "" if message.strip() else "nothing is said"


def find_control(text: str) -> str:
    """Return the first character that changes a terminal, a line's order or its end, or is none; or nothing."""
    found = CONTROL.search(text)
    return found[0] if found else ""
