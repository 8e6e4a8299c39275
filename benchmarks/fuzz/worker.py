"""A process that reads a reader's cases one by one, and is started again when one ends it."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.fuzz.case import GOOD, Ending, Reader, run_case
from benchmarks.fuzz.readers import READERS
from benchmarks.fuzz.watch import Watch

START = 300.0
"""Seconds to start in, on a busy machine."""


class Worker:
    """A process for one reader. `read(number)` always returns how a case ended, whatever becomes of the process."""

    def __init__(self, reader: str, seed: int, folder: Path):
        self._arguments = (reader, seed, folder)
        self._names = dict(enumerate(READERS[reader].named))
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(START):
            raise RuntimeError("the worker does not start")
        self._seconds = self._pipe.recv()

    def read(self, number: int) -> Ending:
        """Return how a case ended."""
        self._pipe.send(number)
        allowed = 2 * self._seconds + 30  # it stops itself, where Python runs at all, and makes the case before
        try:
            if self._pipe.poll(allowed):
                return self._pipe.recv()
            outcome, said = "timeout", "nothing but the end of the process stopped it"
        except EOFError:
            self._process.join()
            outcome, said = "crash", f"exit code {self._process.exitcode}"
        self.end()
        self._start()
        return Ending(number, self._names.get(number, "damage"), outcome, said, allowed, 0.0)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def serve(pipe: Connection, reader_name: str, seed: int, folder: Path) -> None:
    """Read the cases whose numbers come through a pipe."""
    sys.dont_write_bytecode = True
    quiet = os.open(os.devnull, os.O_RDWR)  # what decoders in C print
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    reader = READERS[reader_name]
    reader.prepare()
    watch = Watch()
    watch.start()
    pipe.send(reader.seconds)
    while True:
        number = pipe.recv()
        place = folder / f"{reader.name}-{number}"
        ending = read_in(reader, number, seed, place, watch)
        pipe.send(ending)


def read_in(reader: Reader, number: int, seed: int, place: Path, watch: Watch) -> Ending:
    """Read a case in a folder of its own, which stays if it failed."""
    home = os.getcwd()
    (place / "here").mkdir(parents=True)
    os.chdir(place / "here")
    try:
        ending = run_case(reader, number, seed, place, watch)
    finally:
        os.chdir(home)
    if ending.outcome in GOOD:
        remove(place)
    return ending


def remove(folder: Path) -> None:
    """Remove a folder, however deep."""
    subprocess.run(["rm", "-rf", os.fspath(folder)], check=True)


def read_all(reader: str, numbers: Sequence[int], seed: int, keep: Path | None) -> Iterator[Ending]:
    """Yield how each case ended; the inputs of those that failed stay in `keep`, if it is given."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        worker = Worker(reader, seed, Path(place))
        try:
            for number in numbers:
                ending = worker.read(number)
                made = Path(place) / f"{reader}-{number}"
                if made.exists():
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.move(made, keep / made.name)
                    else:
                        remove(made)
                yield ending
        finally:
            worker.end()
