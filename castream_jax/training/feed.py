"""Batches on their way to the devices, a few ahead of the step that needs them."""

import collections
import time
from collections.abc import Generator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from castream_jax.sharding import shard_batch

AHEAD = 2
"""Batches that are on the devices, or on their way there, before they are needed."""


class Feed:
    """Sends batches to the devices while earlier steps run, and knows how long steps had to wait for them."""

    def __init__(self, batches: Generator[dict[str, np.ndarray]], mesh: Mesh):
        self._batches, self._mesh = batches, mesh
        self._sent: collections.deque[dict[str, jax.Array]] = collections.deque()
        self.waited = 0.0
        """Seconds, at most, in which no step could run for want of data."""

    def next(self, running: Any | None) -> dict[str, jax.Array]:
        """Return the next batch.

        Args:
          running: something that the step before computes: while it is not ready, the devices are not waiting.
            None before the first step.
        """
        started = time.monotonic()
        while len(self._sent) <= AHEAD:
            self._sent.append(shard_batch(next(self._batches), self._mesh))
        if running is not None and running.is_ready():
            self.waited += time.monotonic() - started
        return self._sent.popleft()

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.close()
