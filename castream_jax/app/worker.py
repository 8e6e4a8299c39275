"""Work that somebody waits for: beside them, one piece at a time, and they hear how far it is."""

import math
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from castream_jax.failures import word_failure

Result = TypeVar("Result")

EVERY = 0.4
"""Seconds between two words on the work."""


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is."""

    share: float
    """Done, 0 to 1."""
    seconds: float
    """Since it was asked for."""


class Worker:
    """Does one piece of work after another."""

    def __init__(self, every: float = EVERY):
        """`every`: seconds between two words on the work."""
        self._every = every
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")

    def do(self, work: Callable[[Callable[[float], None]], Result]) -> Generator[Progress, None, Result]:
        """Yield how far a piece of work is until it ends, and return its result.

        Args:
          work: called with a function to tell of each share that is done.

        Raises:
          InputError, RunError: what the machine lacks, in words; and whatever else the work raises.
        """
        shares: list[float] = []
        start = time.monotonic()
        future = self._threads.submit(work, shares.append)
        while not wait([future], self._every).done:
            yield Progress(min(math.fsum(shares), 1.0), time.monotonic() - start)
        error = future.exception()
        if error is not None:
            raise word_failure(error) or error
        return future.result()

    def close(self) -> None:
        """Take no more work; what is not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
