"""One process at a time in a folder; the system lets go of it when that process ends, even killed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from castream_jax.errors import InputError


@contextmanager
def alone_in(directory: Path, doing: str, wait: bool = False) -> Iterator[None]:
    """Create a folder, and keep others who ask for it out.

    Args:
      directory: the folder.
      doing: what the other process is doing there, if there is one, as in "training".
      wait: wait for it to end.

    Raises:
      InputError: another process is in it; the folder cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be created: {error.strerror}.") from error
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"another process is {doing} in {directory}: wait for it, or end it.") from None
    except OSError:
        pass  # a file system without locks: nothing is lost but this check
    try:
        yield
    finally:
        os.close(descriptor)
