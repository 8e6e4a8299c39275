"""The standard streams of a script: whatever they are connected to, the work goes on to its end."""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from castream_jax.errors import RunError, escape

SUBSTITUTE = "castream_jax.substitute"
LOOKS_LIKE = {"↓": "v", "↑": "^", "—": "-", "\N{MINUS SIGN}": "-", "…": "...", "₊": "+"}
"""What stands for the characters of our own tables where a terminal lacks them, of their width where it matters."""


def substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for the characters that cannot be encoded, as `codecs.register_error` asks for it."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    escaped = (LOOKS_LIKE.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in missing)
    return "".join(escaped), error.end


codecs.register_error(SUBSTITUTE, substitute)


class Stream(io.TextIOBase):
    r"""A text stream that shows what it can, and takes no work down with it.

    What its encoding lacks is shown as what looks like it, or as `\u2026`. When nobody reads any more (a closed pipe,
    as of `| head`), or nothing more can be written, the rest goes nowhere: hours of work are worth more than lines.
    """

    def __init__(self, stream: Any, escapes: bool):
        """Write to a stream; `escapes`: control characters in the text but ends of lines and tabs are shown as text."""
        self._stream, self._escapes = stream, escapes
        self.problem: OSError | None = None
        """Why the rest went nowhere, where that is a fault and not the reader's choice."""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SUBSTITUTE)

    def write(self, text: str) -> int:
        """Write text, where it can be written."""
        shown = "\n".join("\t".join(map(escape, line.split("\t"))) for line in text.split("\n"))
        with self._going_on():
            self._stream.write(shown if self._escapes else text)
        return len(text)

    def flush(self) -> None:
        """Write what is waiting, where it can be written."""
        with self._going_on():
            self._stream.flush()

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.EPIPE:
                self.problem = error
            with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:  # what is waiting would fail again
                os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding, by which a progress bar chooses its characters."""
        return str(self._stream.encoding)

    def close(self) -> None:
        """Do nothing, also when this is forgotten: the stream below is the process's own."""

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._stream.fileno())


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replace the standard streams by `Stream`s.

    Raises:
      RunError: at the end, if something was raised by nothing else, and not all of the output could be written.
    """
    keep_descriptors()
    before = sys.stdout, sys.stderr
    output = Stream(sys.stdout, escapes=True) if sys.stdout else None  # None: the process was started with it closed
    sys.stdout = output or sys.stdout
    sys.stderr = Stream(sys.stderr, escapes=False) if sys.stderr else sys.stderr  # progress bars move the cursor
    try:
        yield
        if output:
            output.flush()
            if output.problem:
                raise RunError(
                    f"the output could not be written ({output.problem.strerror}), but all else was done: see the work "
                    "directory."
                )
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Stream):
                stream.flush()
        sys.stdout, sys.stderr = before


def keep_descriptors() -> None:
    """Connect 0, 1 and 2 to nothing where they are closed: else a file of ours gets what libraries print."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
