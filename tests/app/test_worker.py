"""Work that somebody waits for."""

import threading

import pytest

from castream_jax.app.worker import Progress, Worker
from castream_jax.errors import RunError


@pytest.fixture
def worker():
    worker = Worker(every=0.02)
    yield worker
    worker.close()


def follow(work) -> tuple[list[Progress], object]:
    said = []
    while True:
        try:
            said.append(next(work))
        except StopIteration as end:
            return said, end.value


def test_it_says_how_far_it_is(worker):
    go_on = threading.Event()

    def work(advance):
        advance(0.25)
        go_on.wait(10)
        return "done"

    going = worker.do(work)
    heard = next(going)
    assert heard.share in (0, 0.25)
    go_on.set()
    assert follow(going)[1] == "done"


def test_one_piece_after_another(worker):
    running, most = [], []

    def work(_):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.03)
        running.pop()

    threads = [threading.Thread(target=lambda: follow(worker.do(work))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_what_the_machine_lacks_is_said_and_other_mistakes_stay(worker):
    def fill(_):
        raise MemoryError

    with pytest.raises(RunError, match="memory is full"):
        follow(worker.do(fill))
    with pytest.raises(ZeroDivisionError):
        follow(worker.do(lambda _: 1 / 0))
