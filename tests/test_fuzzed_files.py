"""Whatever a file holds, it is read right or refused in one message; `benchmarks.fuzz` reads many more such files."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz.case import GOOD, Case, Reader, run_case
from benchmarks.fuzz.readers import READERS
from benchmarks.fuzz.watch import Watch
from benchmarks.fuzz.worker import read_in
from castream_jax.errors import InputError

pytestmark = pytest.mark.slow

DAMAGED = 24
"""Damaged files of each reader, after a part of those made on purpose: always the same."""


@pytest.fixture(scope="module")
def watch():
    """Return what watches over this process; audit hooks stay, so that there is one for all tests."""
    made = Watch()
    made.start()
    return made


@pytest.mark.parametrize("name", READERS)
def test_files(name, watch, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reader = READERS[name]
    reader.prepare()
    named = len(reader.named)
    numbers = [*range(0, named, 7), *range(named, named + DAMAGED)]
    endings = [read_in(reader, number, 0, tmp_path / str(number), watch) for number in numbers]
    failures = [
        f"{each.outcome} {each.number} {each.name}: {each.said}" for each in endings if each.outcome not in GOOD
    ]
    assert not failures, "\n".join(failures)
    assert {ending.outcome for ending in endings} == set(GOOD)


def ending_of(watch: Watch, folder: Path, case: Case) -> str:
    """Return how a case ends."""
    reader = Reader(
        "tests", {"case": lambda *_: case}, lambda *_: case, count=1, seconds=0.2 if case.read is wait else 20
    )
    return run_case(reader, 0, 0, folder, watch).outcome


def refuse(text: str) -> None:
    """Refuse with that very text, which `InputError` would make printable."""
    error = InputError("")
    error.args = (text,)
    raise error


def wait() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "expected", "outcome"),
    [
        (lambda: 1, "either", "right"),
        (lambda: refuse("no"), "either", "message"),
        (lambda: 1, "message", "accepted"),
        (lambda: refuse("no"), "right", "refused"),
        (lambda: 2, "either", "wrong"),
        (lambda: refuse("\x1b[31mred"), "either", "unfit"),
        (lambda: refuse("<x object at 0x7f>"), "either", "unfit"),
        (lambda: refuse(" "), "either", "unfit"),
        (lambda: 1 / 0, "either", "traceback"),
        (lambda: exit(0), "either", "traceback"),
        (lambda: bytearray(4 << 30), "either", "memory"),
        (lambda: len(np.ones(200_000_000, np.uint8)), "either", "memory"),
        (lambda: os.system("true"), "either", "process"),
        (lambda: Path("x").write_text(""), "either", "write"),
        (lambda: os.mkdir("../x"), "either", "write"),
        (wait, "either", "timeout"),
    ],
)  # fmt: skip
def test_each_failure_is_seen(read, expected, outcome, watch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmarks.fuzz.case.MOST_MEGABYTES", 100)
    watch.start()
    case = Case(read, lambda found: "" if found == 1 else "not one", expected)
    assert ending_of(watch, tmp_path / "files", case) == outcome


def test_output_may_be_written(watch, tmp_path):
    folder = tmp_path / "files"
    case = Case(lambda: (folder / "out" / "x").write_text("x"), expected="right")
    assert ending_of(watch, folder, case) == "right"


def test_a_case_is_made_again_from_its_number(tmp_path):
    for reader in READERS.values():
        contents = []
        for place in ("a", "b"):
            folder = tmp_path / f"{reader.name}-{place}"
            folder.mkdir()
            name, _ = reader.make(len(reader.named) + 5, 3, folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            contents.append((name, [path.read_bytes() for path in files]))
        assert contents[0] == contents[1]
