"""What a machine lacks, in words: errors that no line of ours made, and that are no mistakes of ours."""

import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from castream_jax.errors import InputError, RunError

Failure = InputError | RunError

OF_PATHS = {
    errno.ENAMETOOLONG: "a name is longer than the file system takes: choose a shorter one",
    errno.EACCES: "it may not be read or written by this user: choose another place, or change its permissions",
    errno.EPERM: "it may not be read or written by this user: choose another place, or change its permissions",
    errno.EROFS: "it is on a file system that can only be read: choose another place",
    errno.ELOOP: "it is a symbolic link that leads to itself: name the file itself",
    errno.ENOTDIR: "a part of the path is no folder: name a path that exists, or a new one below a folder",
    errno.EISDIR: "it is a folder: name a file",
}
"""What a path has that cannot be used, and what to do: another path is needed."""

OF_MACHINES = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EFBIG: "the file would be larger than this process may write: raise the limit (ulimit -f)",
    errno.EMFILE: "this process may open no more files: raise the limit (ulimit -n)",
    errno.ENFILE: "this machine may open no more files: end other programs",
    errno.EAGAIN: "no more processes or threads can be started: end other programs, or raise the limit (ulimit -u)",
    errno.EIO: "the disk failed to read or write",
}
"""What a machine lacks, and what to do: the same command can go on then."""

MEMORY = re.compile(r"RESOURCE_EXHAUSTED|bad_alloc|[Oo]ut of memory|Cannot allocate memory|start new thread")


def word_failure(error: BaseException) -> Failure | None:
    """Return the message that an error deserves; None for one that is nobody's but ours, which keeps its traceback."""
    return next((worded for cause in _causes(error) if (worded := _word(cause))), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what libraries raised it from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _word(error: BaseException) -> Failure | None:
    """Return the message for one error."""
    said = str(error)
    if isinstance(error, InputError | RunError):
        return error
    if isinstance(error, MemoryError) or error_number(error) == errno.ENOMEM:
        return RunError(NO_MEMORY)
    if (number := error_number(error)) in OF_PATHS:
        return InputError(f"{name_file(error)}{OF_PATHS[number]}.")
    if number in OF_MACHINES:
        return RunError(f"{name_file(error)}{OF_MACHINES[number]}, and run the same command again.")
    if isinstance(error, ValueError) and "embedded null" in said:
        return InputError("a path holds a null byte, which no file system takes: see the paths in the config.")
    if isinstance(error, RuntimeError | AssertionError) and (problem := find_platform_problem()) is not None:
        return InputError(
            f"JAX cannot start on what JAX_PLATFORMS={read_setting('jax_platforms')} asks for"
            f"{problem and f' ({problem})'}: unset it to take what there is, or install JAX for that platform."
        )
    if isinstance(error, RuntimeError) and MEMORY.search(said):  # JAX's errors are RuntimeErrors
        return RunError(NO_MEMORY)
    if isinstance(error, FloatingPointError) and read_setting("jax_debug_nans"):
        return RunError(f"JAX was asked to stop at values that are no numbers (JAX_DEBUG_NANS): {said.splitlines()[0]}")
    return None


def find_platform_problem() -> str | None:
    """Return why JAX does not start on the platforms that the user asked for; None if it does, or nobody asked."""
    if not read_setting("jax_platforms"):
        return None
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        return str(error).partition("\n")[0].removesuffix(".")
    return None


def read_setting(name: str) -> Any:
    """Return a setting of JAX. It is imported only now, after a failure: what fails early should not wait for it."""
    import jax

    return jax.config.values[name]


NO_MEMORY = (
    "memory is full: lower --config.evaluation.chunk (images in one forward pass), batch_size or data.image_size, end "
    "other programs, or raise the limit (ulimit -v)."
)


def error_number(error: BaseException) -> int:
    """Return the number of an error of the system, 0 of others."""
    return (error.errno or 0) if isinstance(error, OSError) else 0


def name_file(error: BaseException) -> str:
    """Return the start of a sentence on the file that an error names; "" if it names none."""
    name = getattr(error, "filename", None)
    if name is None or isinstance(name, int):
        return ""
    return f"{os.fsencode(name).decode('utf-8', 'replace')} cannot be used: "


def shorten(error: Exception) -> str:
    """Return what went wrong in a line: storage adds its whole configuration to its messages, and names every layer."""
    if number := re.search(r"\[os_error_code='(\d+)'", str(error)):
        return os.strerror(int(number[1]))
    text = str(error).partition(" [tensorstore_spec=")[0].splitlines()
    said = text[0] if text else type(error).__name__
    return said if len(said) <= 300 else f"{said[:120]} ... {said[-160:]}"
