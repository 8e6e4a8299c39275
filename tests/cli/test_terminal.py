"""Whatever the standard streams are connected to: what can be shown is shown, and the work goes on."""

import io
import os
import sys

import pytest

from castream_jax.cli.terminal import Stream, standard_streams
from castream_jax.errors import RunError


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "AD ↓ — é 猫"),
        ("ascii", r"AD v - \xe9 \u732b"),
        ("latin-1", r"AD v - é \u732b"),
        ("cp1252", r"AD v — é \u732b"),
    ],
)
def test_what_an_encoding_lacks_is_shown_otherwise(encoding, shown):
    written = io.BytesIO()
    stream = Stream(io.TextIOWrapper(written, encoding=encoding), escapes=True)
    stream.write("AD ↓ — é 猫")
    stream.flush()
    assert written.getvalue().decode(encoding) == shown
    assert stream.encoding == encoding


def test_bytes_that_are_no_text_are_shown():
    written = io.BytesIO()
    stream = Stream(io.TextIOWrapper(written, encoding="utf-8"), escapes=True)
    stream.write(os.fsdecode(b"a\xff.jpg"))
    stream.flush()
    assert written.getvalue() == rb"a\udcff.jpg"


def test_control_characters_are_text_in_the_output_and_move_the_bar():
    text = "a\x1b[2J\rb\n\tc\u202e\x9b"
    for escapes, shown in ((True, "a\\x1b[2J\\rb\n\tc\\u202e\\x9b"), (False, text)):
        written = io.StringIO()
        assert Stream(written, escapes).write(text) == len(text)
        assert written.getvalue() == shown


@pytest.fixture
def output(monkeypatch):
    """Return a function that connects the output to a descriptor, as a process that was started so."""
    opened = []

    def connect(descriptor: int) -> None:
        opened.append(os.fdopen(descriptor, "w"))
        monkeypatch.setattr(sys, "stdout", opened[-1])

    yield connect
    for stream in opened:
        stream.close()  # raises nothing, though what was written could not be


def test_a_closed_pipe_ends_nothing(output):
    reading, writing = os.pipe()
    os.close(reading)
    output(writing)
    done = []
    with standard_streams():
        for i in range(3):
            print("x" * 100_000, flush=i == 1)
            done.append(i)
    assert done == [0, 1, 2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("flush", [False, True])
def test_a_full_disk_is_told_at_the_end(output, flush):
    output(os.open("/dev/full", os.O_WRONLY))
    done = []

    def work() -> None:
        with standard_streams():
            print("table", flush=flush)
            done.append("all else")

    with pytest.raises(RunError, match="No space left on device"):
        work()
    assert done == ["all else"]


def test_another_error_is_not_hidden_by_the_outputs(output):
    output(os.open("/dev/full", os.O_WRONLY))

    def work() -> None:
        with standard_streams():
            print("table", flush=True)
            raise KeyError("the cause")

    with pytest.raises(KeyError):
        work()


def test_a_process_without_streams_works(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with standard_streams():
        print("nobody hears")
