"""The command: what it says before, after, and of mistakes."""

import importlib.util
import re

import pytest
import tensorflow_datasets as tfds

from castream_jax.cli.prepare import main
from castream_jax.data.prepare import generation
from castream_jax.data.prepare import preparation as plan
from castream_jax.storage.locking import alone_in


def fails(capsys, *argv: str) -> str:
    """Return the one message of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["prepare", *argv])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    return message


@pytest.fixture
def without_tensorflow(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name))


@pytest.fixture
def with_tensorflow(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("os") if name == "tensorflow" else find(name))


def test_the_demo_is_ready(demo_directory, capsys):
    main(["prepare", "castream_demo", f"--directory={demo_directory}"])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"castream_demo is ready already: {demo_directory}/castream_demo/1.0.0",
        f"use it with: castream train --config.data.name=castream_demo --config.data.directory={demo_directory}",
    ]


def test_tensorflow_is_asked_for_once(tmp_path, capsys, without_tensorflow):
    message = fails(capsys, "imagenette/320px-v2", f"--directory={tmp_path}")
    assert "pip install 'castream-jax[prepare]'" in message
    assert f"castream prepare imagenette/320px-v2 --directory={tmp_path}" in message
    assert "prepare imagenet2012 --manual=DIR --directory=" in fails(capsys, "imagenet2012", f"--directory={tmp_path}")


def test_imagenet_wants_its_archives(tmp_path, capsys, with_tensorflow):
    message = fails(capsys, "imagenet2012", f"--directory={tmp_path}")
    assert "--manual=DIR is missing" in message
    assert "ILSVRC2012_img_train.tar" in message
    assert "ILSVRC2012_img_val.tar" in message
    (tmp_path / "ILSVRC2012_img_train.tar").touch()
    message = fails(capsys, "imagenet2012", f"--directory={tmp_path}", f"--manual={tmp_path}")
    assert f"--manual={tmp_path} lacks ILSVRC2012_img_val.tar." in message


def test_what_tfds_raises_becomes_one_message(tmp_path, capsys, with_tensorflow, monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("no route to host\nmore lines")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    left = tmp_path / "cifar10" / "incomplete.ABCDEF_3.0.2"
    left.mkdir(parents=True)
    message = fails(capsys, "cifar10", f"--directory={tmp_path}")
    assert message == "error: TFDS cannot prepare cifar10: ConnectionError: no route to host\n"
    assert not left.exists()


def test_the_disk_must_be_large_enough(tmp_path, capsys, with_tensorflow, monkeypatch):
    usage = plan.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda folder: usage._replace(free=200_000_000))
    message = fails(capsys, "cifar10", f"--directory={tmp_path / 'new'}")
    assert re.search(r"cifar10 needs 0.3 GB of disk, and .* has 0.2 GB free", message)
    assert not (tmp_path / "new").exists()


def test_sizes_are_what_tfds_states(tmp_path):
    def size(name: str) -> int | None:
        return generation.stated_size(tfds.builder(name, data_dir=tmp_path), name)

    assert size("cifar10") == 2 * 170_052_171  # the archive, and about as much for the dataset
    assert size("imagenet2012") == 147_897_477_120 + 6_744_924_160  # the archives are the user's
    assert size("imagenette/320px-v2") is None


def test_two_at_once_are_kept_apart(image_root, tmp_path, capsys):
    with alone_in(tmp_path / "data" / "pets", "preparing a dataset"):
        message = fails(capsys, "pets", f"--images={image_root}", f"--directory={tmp_path / 'data'}")
    assert "another process is preparing a dataset in" in message
    main(["prepare", "pets", f"--images={image_root}", f"--directory={tmp_path / 'data'}"])


def test_a_directory_that_cannot_be_made_is_named(image_root, tmp_path, capsys):
    (tmp_path / "file").touch()
    message = fails(capsys, "pets", f"--images={image_root}", f"--directory={tmp_path / 'file'}")
    assert "file/pets cannot be created" in message


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "arguments are required: NAME"),
        (["cifar10", "--image=x"], "unrecognized arguments: --image=x"),
        (["a", "--images=x", "--tfrecords=y"], "--images and --tfrecords are two ways to make a: give one"),
        (["My Pets", "--images=x"], "'My Pets' cannot be the name"),
        (["image_folder", "--images=x"], "'image_folder' cannot be the name"),
        (["mit67", "--images=x"], "'mit67' cannot be the name"),
        (["imagenete"], "Did you mean 'imagenette' or 'imagenet"),
    ],
)
def test_mistakes_are_named(capsys, argv, said):
    assert said in fails(capsys, *argv)
