"""Limits of a process that are too low are said before the work."""

import resource

import pytest

from castream_jax.errors import RunError
from castream_jax.storage.limits import ENOUGH_OPEN_FILES, check_address_space, check_file_size, check_open_files


@pytest.fixture
def limits(monkeypatch):
    """Return the limits of a process that is not this one: (soft, hard) by kind."""
    found = {resource.RLIMIT_NOFILE: (1024, 1 << 20), resource.RLIMIT_FSIZE: (resource.RLIM_INFINITY,) * 2}
    monkeypatch.setattr(resource, "getrlimit", found.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", found.__setitem__)
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, 1 << 20), ENOUGH_OPEN_FILES),
        ((256, resource.RLIM_INFINITY), ENOUGH_OPEN_FILES),
        ((32, 1024), 1024),
        ((8192, 1 << 20), 8192),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), resource.RLIM_INFINITY),
    ],
)
def test_as_many_open_files_as_are_allowed(limits, before, after):
    limits[resource.RLIMIT_NOFILE] = before
    check_open_files()
    assert limits[resource.RLIMIT_NOFILE] == (after, before[1])


@pytest.mark.parametrize("allowed", [16, 32, 127])
def test_too_few_open_files(limits, allowed):
    limits[resource.RLIMIT_NOFILE] = (allowed, allowed)
    with pytest.raises(RunError, match=f"may open {allowed} files at once.*ulimit -n 128"):
        check_open_files()


def test_too_little_memory_to_address(limits):
    limits[resource.RLIMIT_AS] = (2**32, 2**32)
    check_address_space()
    limits[resource.RLIMIT_AS] = (2_000_000 * 1024,) * 2
    with pytest.raises(RunError, match="use 2,000,000 kB of memory.*ulimit -v"):
        check_address_space()


def test_files_that_are_too_large(limits):
    check_file_size(1 << 50, "checkpoints")
    limits[resource.RLIMIT_FSIZE] = (1024, 1024)
    check_file_size(1024, "checkpoints")
    with pytest.raises(RunError, match="checkpoints take 1,025 bytes.*files of 1,024.*ulimit -f"):
        check_file_size(1025, "checkpoints")
