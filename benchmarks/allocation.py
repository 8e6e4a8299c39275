"""What the C library does with freed memory: it decides over half the time of a single large call on a CPU."""

import ctypes
import os

import numpy as np

ARENA_MAX, MMAP_MAX, TRIM_THRESHOLD = -8, -4, -1  # of malloc.h
RESERVE = 6 * 2**30
"""Bytes that are touched once and then free for all. Without them, what one side leaves behind splits the space that
the other had before, whose next call takes new space, round after round."""


def keep_freed_memory() -> str:
    """Let glibc keep what is freed for the next call, and say so; to be called before anything starts threads.

    By default every call's temporary memory (hundreds of megabytes) is new, and its first touch, page by page, took up
    to as long as the work. The demo's training, whose programs run for seconds, gained nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return "malloc as it is"
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return "malloc as the environment says"
    done = [mallopt(ARENA_MAX, 1), mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, -1)]
    np.ones(RESERVE, np.uint8)
    return "malloc keeps freed memory, for ours and torch's" if all(done) else "malloc as it is"
