"""What a process may open and write at most (`ulimit`): too little is said before the work, not in the middle of it."""

import contextlib
import resource

from castream_jax.errors import RunError

OPEN_FILES = 128
"""A save of a checkpoint opens 40 at once, and a few dozen are open anyway."""
ENOUGH_OPEN_FILES = 4096
"""As many as are asked for where that is allowed: each process that decodes images takes some."""

ADDRESS_SPACE = 2**32
"""Bytes. JAX reserves 2 GB before it computes anything, and its compilers end a process that gets no more."""


def check_address_space() -> None:
    """Raise `RunError` if this process may address so little memory that JAX would end it without a word."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise RunError(
            f"this process may use {limit // 1024:,} kB of memory: expected {ADDRESS_SPACE // 1024:,} or more, as JAX "
            "reserves more than it fills. Raise the limit (ulimit -v unlimited) and run the same command again."
        )


def check_open_files() -> None:
    """Let this process open as many files as it is allowed to.

    Raises:
      RunError: these are too few to work with; libraries that stumble there may leave a run hanging.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = [limit for limit in (ENOUGH_OPEN_FILES, hard) if limit != resource.RLIM_INFINITY]
    if soft != resource.RLIM_INFINITY and soft < min(allowed):
        with contextlib.suppress(OSError, ValueError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(allowed), hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        raise RunError(
            f"this process may open {soft} files at once: expected {OPEN_FILES} or more. Raise the limit (ulimit -n "
            f"{OPEN_FILES}) and run the same command again."
        )


def check_file_size(size: int, what: str) -> None:
    """Raise `RunError` if this process may write no file of `size` bytes; `what` it is, in the plural."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and limit < size:
        raise RunError(
            f"{what} take {size:,} bytes, and this process may write files of {limit:,}: raise the limit (ulimit -f "
            "unlimited) and run the same command again."
        )
