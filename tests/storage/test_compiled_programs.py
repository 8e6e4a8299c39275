"""Compiled programs that are kept are those that were written, or compiled again."""

import collections
import subprocess

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import castream_jax as ca
from castream_jax.storage import compiled_programs as compilation
from castream_jax.storage.compiled_programs import SUMS, drop_damaged, keep_compiled_programs, read_sums
from tests.faults.cache import Computation, prepare, try_all

pytestmark = pytest.mark.slow


@pytest.fixture
def own_cache():
    """Give the programs of other tests their cache back."""
    directory, seconds = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    yield
    jax.config.update("jax_compilation_cache_dir", directory)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
    compilation_cache.reset_cache()


def test_damage_is_compiled_again_and_changes_no_number(own_cache, tmp_path):
    computation = Computation()
    assert prepare(computation, tmp_path) == 3  # one program for each of its functions
    assert computation.run(tmp_path / "cache")[1] == 3
    counts = collections.Counter((kind, ending) for _, kind, ending in try_all(computation, tmp_path, places=2))
    ending = "the same numbers, compiled again, once"
    assert counts == {("flipped", ending): 6, ("cut", ending): 6}


def test_a_folder_that_was_moved_serves_as_before(own_cache, tmp_path):
    computation = Computation()
    computation.run(tmp_path / "cache")
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert computation.run(tmp_path / "elsewhere")[1] == 3


def test_what_nobody_vouches_for_is_deleted(tmp_path):
    for name in ("a-cache", "b-cache", "c-cache"):
        (tmp_path / name).write_bytes(name.encode())
    record = compilation.Record(tmp_path, {"c-cache"})  # as one that another process is writing
    record.add_new()
    (tmp_path / "b-cache").write_bytes(b"another")
    (tmp_path / "a-atime").write_bytes(b"when")
    assert subprocess.run(["sha256sum", "--check", "--status", SUMS], cwd=tmp_path, check=False).returncode == 1
    assert drop_damaged(tmp_path) == {"a-cache"}
    assert {file.name for file in tmp_path.iterdir()} == {"a-cache", "a-atime", SUMS}
    assert read_sums(tmp_path / SUMS).keys() == {"a-cache"}
    assert subprocess.run(["sha256sum", "--check", "--status", SUMS], cwd=tmp_path, check=False).returncode == 0


def test_damaged_sums_cost_time_only(tmp_path):
    (tmp_path / "a-cache").write_bytes(b"a")
    (tmp_path / SUMS).write_bytes(b"\xff\n  \nabc\n" + b"0" * 64 + b"  a-cache\n")
    assert drop_damaged(tmp_path) == set()
    assert not (tmp_path / "a-cache").exists()


def test_a_folder_that_cannot_be_written_to_is_left_alone(own_cache, tmp_path, caplog):
    (tmp_path / "file").touch()
    before = jax.config.jax_compilation_cache_dir
    assert keep_compiled_programs(tmp_path / "file" / "cache") is None
    assert jax.config.jax_compilation_cache_dir == before
    assert "compiled programs are not kept" in caplog.text


def test_a_library_keeps_its_programs_in_the_users_own_folder(own_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    ca.use_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "caches" / "castream_jax")
    ca.use_cache(tmp_path / "own")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    assert (tmp_path / "own").is_dir()
