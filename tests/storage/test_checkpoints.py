"""Checkpoints: whole, verified, and never silently wrong."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from castream_jax.errors import InputError, RunError
from castream_jax.storage.array_trees import flatten, unflatten
from castream_jax.storage.checkpoints import Checkpoints


def trees(value: float, size: int = 5) -> dict:
    return {"model": {"a": {"b": jnp.full(size, value)}, "c": [jnp.arange(3)]}, "training": {"step": jnp.int32(value)}}


def save(directory, *values: float) -> None:
    with Checkpoints(directory) as checkpoints:
        for value in values:
            checkpoints.save(int(value), trees(value), {"note": value})


def damage(directory, step: int) -> None:
    """Flip one byte in the largest file of a checkpoint's model."""
    largest = max((directory / str(step) / "model").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(bytes(content))


def test_what_is_saved_comes_back(tmp_path):
    save(tmp_path, 1, 2)
    with Checkpoints(tmp_path) as checkpoints:
        step, found, metadata = checkpoints.restore(trees(0))
    assert step == 2
    assert metadata["note"] == 2
    np.testing.assert_array_equal(found["model"]["a"]["b"], np.full(5, 2.0))
    np.testing.assert_array_equal(found["model"]["c"][0], [0, 1, 2])
    assert int(found["training"]["step"]) == 2


def test_the_model_can_be_read_alone(tmp_path):
    save(tmp_path, 3)
    with Checkpoints(tmp_path) as checkpoints:
        _, found, _ = checkpoints.restore({"model": trees(0)["model"]})
    assert list(found) == ["model"]


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, 4)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [3, 4]


def test_nothing_saved_is_none(tmp_path):
    with Checkpoints(tmp_path / "none") as checkpoints:
        assert checkpoints.restore(trees(0)) is None


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_to_later_saves(tmp_path, caplog):
    place = tmp_path / "stream"
    save(place, 1, 2)
    damage(place, 2)
    with Checkpoints(place) as checkpoints:
        assert checkpoints.restore(trees(0))[0] == 1
        assert checkpoints.steps() == [1, 2]  # reading moves nothing
        step, found, _ = checkpoints.restore(trees(0), set_aside=True)
        assert caplog.text.count("stream/2 is damaged (") == 2
        assert step == 1
        assert checkpoints.steps() == [1]
        assert (tmp_path / "stream-damaged" / "2" / "model").is_dir()
        np.testing.assert_array_equal(found["model"]["a"]["b"], np.full(5, 1.0))
        checkpoints.save(2, trees(2), {})
    with Checkpoints(place) as checkpoints:
        assert checkpoints.restore(trees(0))[0] == 2


def test_damaged_checkpoints_alone_are_no_fresh_start(tmp_path):
    place = tmp_path / "stream"
    save(place, 1)
    damage(place, 1)
    with Checkpoints(place) as checkpoints:
        with pytest.raises(RunError, match=r"no checkpoint in .*stream can be read; of the newest: .*model"):
            checkpoints.restore(trees(0), set_aside=True)
        assert checkpoints.steps() == [1]


def test_a_reader_leaves_a_save_under_way_alone(tmp_path):
    save(tmp_path, 1)
    unfinished = tmp_path / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]
    assert unfinished.exists()
    with Checkpoints(tmp_path, writes=True):
        deadline = time.monotonic() + 10
        while unfinished.exists() and time.monotonic() < deadline:  # Orbax cleans up in the background
            time.sleep(0.05)
        assert not unfinished.exists()


def test_another_networks_checkpoint_is_refused(tmp_path):
    save(tmp_path, 1)
    said = r"a\.b: int32\[5\] there, int32\[6\] here"
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match=said):
        checkpoints.restore(trees(0, size=6))


def test_flatten_and_back():
    tree = trees(1)
    assert set(flatten(tree["model"])) == {"a.b", "c.0"}
    assert unflatten(tree, flatten(tree)) is not tree
    np.testing.assert_array_equal(unflatten(tree, flatten(tree))["model"]["c"][0], [0, 1, 2])
