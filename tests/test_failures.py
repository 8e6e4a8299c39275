"""What a machine lacks is told in one message, with the exit code of whose turn it is; our mistakes are not."""

import errno
import os

import jax
import pytest

from castream_jax.errors import InputError, RunError
from castream_jax.failures import shorten, word_failure


@pytest.mark.parametrize("name", ["ENAMETOOLONG", "EACCES", "EPERM", "EROFS", "ELOOP", "ENOTDIR", "EISDIR"])
def test_a_path_that_cannot_be_used_is_named(name):
    number = getattr(errno, name)
    worded = word_failure(OSError(number, os.strerror(number), "some/file"))
    assert isinstance(worded, InputError)
    assert str(worded).startswith("some/file cannot be used: ")


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG", "EMFILE", "ENFILE", "EAGAIN", "EIO"])
def test_what_the_machine_lacks_is_no_mistake_of_the_user(name):
    number = getattr(errno, name)
    worded = word_failure(OSError(number, os.strerror(number)))
    assert isinstance(worded, RunError)
    assert "run the same command again" in str(worded)


def test_a_name_that_is_too_long_for_the_file_system(tmp_path):
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 5000)).is_file()
    assert "choose a shorter one" in str(word_failure(caught.value))


def test_a_null_byte_in_a_path():
    with pytest.raises(ValueError, match="embedded null") as caught:
        os.stat("a\0b")
    assert "null byte" in str(word_failure(caught.value))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."),
        RuntimeError("can't start new thread"),
    ],
)
def test_full_memory_says_what_to_lower(error):
    worded = word_failure(error)
    assert isinstance(worded, RunError)
    assert "--config.evaluation.chunk" in str(worded)


def test_the_cause_counts():
    error = ValueError("a library's own")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "make room" in str(word_failure(error))


@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend 'cuda': no."), AssertionError()])
def test_a_platform_that_does_not_start_is_named(error, monkeypatch):
    def fails() -> None:
        raise error

    monkeypatch.setattr(jax, "devices", fails)
    worded = word_failure(error)
    assert isinstance(worded, InputError)
    assert "JAX_PLATFORMS=cpu" in str(worded)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("ours"),
        AssertionError("ours"),
        RuntimeError("ours"),
        ValueError("ours"),
        FileNotFoundError(errno.ENOENT, "ours"),
        FloatingPointError("ours"),
        OSError("ours"),
    ],
)
def test_our_own_mistakes_are_not_worded(error):
    assert word_failure(error) is None


def test_storages_messages_are_cut_to_what_went_wrong():
    assert shorten(ValueError("OUT_OF_RANGE: Error writing \"a\" [os_error_code='27'] [tensorstore_spec=")) == (
        os.strerror(27)
    )
    assert shorten(ValueError("what [tensorstore_spec='{}']\nmore")) == "what"
    assert len(shorten(ValueError("x" * 5000))) < 300
