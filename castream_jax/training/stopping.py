"""A request to stop: SIGTERM, as clusters send it before they take a machine away, or Ctrl-C."""

import signal
import threading
from types import FrameType
from typing import Any

import jax
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether this run was asked to stop; a context manager. A second request stops at once."""

    def __init__(self) -> None:
        self._asked = False
        self._steps = 0
        self._before: dict[int, Any] = {}

    def reached(self) -> bool:
        """Return whether to stop after this step; to be asked after every one.

        Many processes, of which one was asked to stop, agree on the same step.
        """
        self._steps += 1
        if jax.process_count() > 1:
            return bool(multihost_utils.reached_preemption_sync_point(self._steps))
        return self._asked

    def _ask(self, _: int, __: FrameType | None) -> None:
        self._asked = True
        print("stopping after this step, with a checkpoint; once more stops at once", flush=True)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> "StopRequest":
        alone = jax.process_count() == 1  # else JAX's own service listens, and tells the other processes
        if alone and threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
