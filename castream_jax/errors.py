"""What ends a run with a message instead of a traceback, and how messages are worded."""

import difflib
import re
from collections.abc import Iterable

C0_AND_C1 = (*range(0x20), *range(0x7F, 0xA0))
LINES_AND_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in C0_AND_C1 + LINES_AND_DIRECTIONS}
"""What a terminal obeys instead of showing it, and how it is shown."""

ITEM = "\n  "
"""What begins an item in a message that lists several things."""


class Told:
    """An error whose message is all that a reader needs: notebooks show it alone."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [f"error: {self}"]


class InputError(Told, ValueError):
    """Bad input from a user: scripts print its message without a traceback and exit with code 2."""

    def __init__(self, message: str):
        """Names of files, classes and arrays in the message come from others: they are made `printable`."""
        super().__init__(printable(message))


class NotTrained(InputError):
    """There is no checkpoint yet; scripts say with which command one is made."""


class RunError(Told, RuntimeError):
    """A run that cannot go on though its input is fine: scripts print the message and exit with code 1."""

    def __init__(self, message: str):
        """As for `InputError`."""
        super().__init__(printable(message))


class Stopped(Exception):
    """A run that was asked to stop and has saved where it is: scripts print the message and exit with code 0."""


def choose(what: str, value: object, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`, else raise an `InputError` that suggests the nearest one."""
    options = list(options)
    if isinstance(value, str) and value in options:
        return value
    raise InputError(unknown(what, value, options))


def unknown(what: str, value: object, options: Iterable[str]) -> str:
    """Word the message for a name that is not among `options`."""
    options = list(options)
    near = difflib.get_close_matches(str(value), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {value!r}.{hint} Choose one of: {', '.join(options)}."


def escape(text: str) -> str:
    r"""Return a name that others chose as it can be shown: on one line, control characters as `\x1b`, `\n`."""
    return text.translate(CONTROLS)


def printable(message: str) -> str:
    """Return a message as `escape` does, but for its own list items: no name in it can forge a line of its own.

    Names of more than 400 characters are shown by their ends, and an object's place in memory is left out.
    """
    message = re.sub(r" object at 0x[0-9a-fA-F]+", " object", message)
    return re.sub(r"(\S{120})\S{161,}(\S{120})", r"\1...\2", ITEM.join(map(escape, message.split(ITEM))))
