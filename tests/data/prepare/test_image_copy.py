"""Pictures, copied into shards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from castream_jax.cli.prepare import main
from castream_jax.data.prepare import image_copy
from castream_jax.data.prepare.image_copy import cut
from castream_jax.data.source import open_source
from tests.data.prepare.test_tfrecords import contents


def copy(root: Path, directory: Path, name: str = "pets") -> None:
    main(["prepare", name, f"--images={root}", f"--directory={directory}"])


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(image_copy, "SHARD_BYTES", 5000)


def test_images_classes_and_ids_are_the_same(image_root, tmp_path, small_shards, capsys):
    copy(image_root, tmp_path / "data")
    said = capsys.readouterr().out
    assert "of disk" in said
    assert (
        f"castream train --config demo --config.data.name=pets --config.data.directory={tmp_path / 'data'} "
        "--config.evaluation.split=val --workdir=runs/pets"
    ) in said
    for split in ("train", "val"):
        folder = open_source("image_folder", split, str(image_root))
        copied = open_source("pets", split, str(tmp_path / "data"))
        assert copied.class_names == folder.class_names
        assert len(copied) == len(folder)
        for index in range(len(folder)):
            expected, found = folder[index], copied[index]
            assert found["image"] == expected["image"]
            assert (found["label"], found["id"].decode()) == (expected["label"], expected["id"])
    assert "-00000-of-00001" not in copied.locate(0)


def test_a_copy_with_tfds_own_name_is_found(image_root, tmp_path):
    copy(image_root, tmp_path, "cifar10")
    assert len(open_source("cifar10", "train", str(tmp_path))) == 6


def test_a_finished_copy_is_left_alone(image_root, tmp_path, capsys):
    copy(image_root, tmp_path / "data")
    before = contents(tmp_path / "data")
    for flags in ([f"--images={image_root}"], []):
        main(["prepare", "pets", *flags, f"--directory={tmp_path / 'data'}"])
        assert "pets is ready already" in capsys.readouterr().out
    assert contents(tmp_path / "data") == before
    image_root.rename(tmp_path / "elsewhere")
    with pytest.raises(SystemExit):
        copy(tmp_path / "elsewhere", tmp_path / "data")
    assert f"made from image folder {image_root} and not from" in capsys.readouterr().err


KILLED = """
import sys, time
from castream_jax.cli.prepare import main
from castream_jax.data.prepare import image_copy
def encode_slowly(*arguments, encode=image_copy.encode):
    for record in encode(*arguments):
        yield record
        time.sleep(0.2)
image_copy.encode, image_copy.SHARD_BYTES = encode_slowly, 5000
main(sys.argv)
"""


def test_a_killed_copy_goes_on(image_root, tmp_path, small_shards):
    copy(image_root, tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, "pets", f"--images={image_root}", f"--directory={tmp_path / 'data'}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    unfinished = tmp_path / "data" / "pets" / "1.0.0.unfinished"
    deadline = time.monotonic() + 60
    while not list(unfinished.glob("*-of-0000?")) or not list(unfinished.glob("*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*-of-0000?")}
    copy(image_root, tmp_path / "data")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")
    made = tmp_path / "data" / "pets" / "1.0.0"
    assert left == {name: (made / name).stat().st_mtime_ns for name in left}


def test_pictures_that_changed_since_an_interruption_are_not_mixed(image_root, tmp_path, small_shards, monkeypatch):
    calls = []

    def interrupt(*arguments, encode=image_copy.encode):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        yield from encode(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(image_copy, "encode", interrupt)
        with pytest.raises(SystemExit):
            copy(image_root, tmp_path / "data")
    (image_root / "train" / "cat" / "a.jpg").write_bytes((image_root / "val" / "élan" / "u.gif").read_bytes())
    copy(image_root, tmp_path / "data")
    copy(image_root, tmp_path / "whole")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")


def test_a_file_that_vanishes_is_named(image_root, tmp_path, monkeypatch, capsys):
    def lose(*arguments, encode=image_copy.encode):
        (image_root / "val" / "dog" / "w.jpg").unlink(missing_ok=True)
        yield from encode(*arguments)

    monkeypatch.setattr(image_copy, "encode", lose)
    with pytest.raises(SystemExit) as caught:
        copy(image_root, tmp_path / "data")
    assert caught.value.code == 2
    assert str(image_root / "val" / "dog" / "w.jpg") in capsys.readouterr().err


def test_shards_are_cut_by_size():
    assert cut([4, 4, 4, 20, 1, 1], 8) == [range(0, 2), range(2, 3), range(3, 4), range(4, 6)]
    assert cut([20], 8) == [range(0, 1)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "val").rename(root / "val-2"), "'val-2' cannot be the name of a split"),
        (lambda root: [(root / split / "cat").rename(root / split / "cat ") for split in ("train", "val")], "'cat '"),
        (lambda root: (root / "val" / "emu").mkdir(), "have different classes"),
        (lambda root: root.rename(root.with_name("elsewhere")), "is no folder"),
    ],
)
def test_mistakes_are_named(image_root, tmp_path, capsys, change, said):
    change(image_root)
    with pytest.raises(SystemExit) as caught:
        copy(image_root, tmp_path / "data")
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_splits_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        copy(tmp_path, tmp_path / "data")
    assert "has no splits with classes" in capsys.readouterr().err
