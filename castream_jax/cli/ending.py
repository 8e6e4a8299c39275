"""How every script ends: in one message instead of a traceback, and with an exit code that tells why."""

import contextlib
import os
import sys
from collections.abc import Iterator

from castream_jax.cli.terminal import standard_streams
from castream_jax.errors import InputError, Stopped, printable
from castream_jax.failures import word_failure


@contextlib.contextmanager
def ends_in_a_message(interrupted: str = "interrupted") -> Iterator[None]:
    """Run what is inside, and exit.

    Exit codes, with a message and no traceback: 2 after an `InputError`, 1 after a `RunError`, and the same after what
    is no mistake of ours but of the machine or a path (`failures`); 0 after `Stopped`; 130, saying `interrupted`, after
    Ctrl-C where it was not a request to stop. Other exceptions are our own mistakes and keep their traceback.
    """
    try:
        with standard_streams():
            try:
                yield
            except Stopped as stopped:
                print(printable(str(stopped)))
    except KeyboardInterrupt:
        say(interrupted)
        leave(130)
    except Exception as error:
        worded = word_failure(error)
        if worded is None:
            raise
        say(f"error: {worded}")
        leave(2 if isinstance(worded, InputError) else 1)


def say(message: str) -> None:
    """Print a last line for people, where there is still somebody to read it."""
    with contextlib.suppress(SystemExit), standard_streams():
        print(message, file=sys.stderr)


def leave(code: int) -> None:
    """Exit; one of many processes at once, without waiting for the others, which wait for it."""
    jax = sys.modules.get("jax")  # not imported here: a command's help needs none
    if jax and jax.distributed.is_initialized():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
