"""What the C library does with freed memory: it decides over half the time of a single large call on a CPU."""

import ctypes
import os

ARENA_MAX, MMAP_MAX, TRIM_THRESHOLD = -8, -4, -1  # of malloc.h


def keep_freed_memory() -> str:
    """Let glibc keep what is freed for the next call, and say so; to be called before anything starts threads.

    By default every call's temporary memory (hundreds of megabytes) is new, and its first touch, page by page, took up
    to as long as the work. Evaluation and training, whose programs run for seconds, gain nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return "malloc as it is"
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return "malloc as the environment says"
    done = [mallopt(ARENA_MAX, 1), mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, 2**31 - 1)]
    return "malloc keeps freed memory, for ours and torch's" if all(done) else "malloc as it is"
