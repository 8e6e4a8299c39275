"""Batches reach the devices in order; what goes wrong on the way reaches the loop; nothing is left running."""

import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.compute.sharding import create_mesh
from castream_jax.training.feed import Feed


def batches(count, delay=0.0):
    for i in range(count):
        time.sleep(delay)
        yield {"labels": np.full(8, i, np.int32)}


def test_batches_come_in_order():
    with Feed(batches(5), create_mesh()) as feed:
        assert [int(feed.next(None)["labels"][0]) for _ in range(5)] == list(range(5))


def test_an_error_while_reading_is_raised_in_its_place():
    def broken():
        yield from batches(2)
        raise OSError("gone")

    with Feed(broken(), create_mesh()) as feed:
        feed.next(None)
        feed.next(None)
        with pytest.raises(OSError, match="gone"):
            feed.next(None)


def test_leaving_early_ends_the_reader():
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield from batches(1)
        finally:
            ended.set()

    with Feed(endless(), create_mesh()) as feed:
        feed.next(None)
    assert ended.is_set()


def test_only_idle_devices_count_as_waiting():
    ready = jnp.ones(()).block_until_ready()

    class Busy:
        def is_ready(self):
            return False

    with Feed(batches(2, delay=0.2), create_mesh()) as feed:
        feed.next(Busy())
        assert feed.waited == 0
        feed.next(ready)
        assert 0 < feed.waited < 1
