"""Batches on their way to the devices, a few ahead of the step that needs them."""

import queue
import threading
import time
from collections.abc import Generator
from typing import Any

from jax.sharding import Mesh

from castream_jax.compute.sharding import AHEAD, shard_batch


class Feed:
    """Sends batches to the devices while steps run, and knows how long steps had to wait; a context manager."""

    def __init__(self, batches: Generator[dict[str, Any]], mesh: Mesh):
        self._batches, self._mesh = batches, mesh
        self._sent: queue.Queue[Any] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self.waited = 0.0
        """Seconds, at most, in which no step could run for want of data."""

    def next(self, running: Any | None) -> dict[str, Any]:
        """Return the next batch.

        Args:
          running: something that the step before computes: while it is not ready, the devices are not waiting.
            None before the first step.

        Raises whatever reading the data raised.
        """
        began = time.monotonic()
        batch = self._sent.get()
        if running is not None and running.is_ready():
            self.waited += time.monotonic() - began
        if isinstance(batch, BaseException):
            raise batch
        return batch

    def _send(self) -> None:
        try:
            for batch in self._batches:
                self._put(shard_batch(batch, self._mesh))
                if self._stopped.is_set():
                    break
        except BaseException as error:  # the loop raises it
            self._put(error)
        finally:
            self._batches.close()

    def _put(self, item: Any) -> None:
        """Hand over an item, unless nobody is there any more to take it."""
        while not self._stopped.is_set():
            try:
                return self._sent.put(item, timeout=0.1)
            except queue.Full:
                continue

    def __enter__(self) -> "Feed":
        self._sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._sender.join()
