"""What ends a run with a message instead of a traceback, and how messages are worded."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from a user: scripts print its message without a traceback and exit with code 2."""


class RunError(RuntimeError):
    """A run that cannot go on though its input is fine: scripts print the message and exit with code 1."""


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
