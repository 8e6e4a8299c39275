"""The command: what it says before, after, and of mistakes."""

import importlib.util
import re
import shlex

import pytest
import tensorflow_datasets as tfds

from castream_jax.cli.command import parse_flags
from castream_jax.cli.prepare import main, parse
from castream_jax.config import Experiment
from castream_jax.data.prepare import generation
from castream_jax.data.prepare import preparation as plan
from castream_jax.data.prepare.next_steps import MADE_FOR, word_next, word_splits
from castream_jax.data.source import open_source, open_split
from castream_jax.errors import InputError
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
        "use it with:",
        f"  castream train --config demo --config.data.directory={demo_directory}",
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
    assert re.search(r"cifar10 needs 0.3 GB of disk \(the dataset, .* to download\), and .* has 0.2 GB free", message)
    assert not (tmp_path / "new").exists()


def test_the_disk_check_can_be_overruled(image_root, tmp_path, capsys, monkeypatch):
    usage = plan.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda folder: usage._replace(free=0))
    argv = ("pets", f"--images={image_root}", f"--directory={tmp_path / 'data'}")
    assert "--skip_disk_check begins all the same" in fails(capsys, *argv)
    main(["prepare", *argv, "--skip_disk_check"])
    assert "ready: " in capsys.readouterr().out


def test_what_is_needed_is_what_tfds_states(tmp_path):
    """The archives that are the user's own, or there already, take no disk."""

    def needs(name: str, manual: str = "") -> int | None:
        return generation.count_needs(tfds.builder(name, data_dir=tmp_path), name, str(tmp_path), manual)[0]

    archive = 170_052_171
    assert needs("cifar10") == 2 * archive  # the archive, and about as much for the dataset
    assert needs("imagenet2012") == 147_897_477_120 + 6_744_924_160  # the dataset alone
    assert needs("imagenette/320px-v2") is None
    for name, size in (("train", 5_000), ("val", 300), ("test", 20), ("train_t3", 1)):
        with (tmp_path / f"ILSVRC2012_img_{name}.tar").open("wb") as file:
            file.truncate(size)
    assert needs("imagenet2012", str(tmp_path)) == 5_320  # of what lies there, as TFDS takes it
    (tmp_path / "downloads" / "some").mkdir(parents=True)
    with (tmp_path / "downloads" / "some" / "file.tar.gz").open("wb") as file:
        file.truncate(archive)
    assert needs("cifar10") == archive


def settings(command: str) -> Experiment:
    """Return the experiment of a printed command, as it would begin."""
    program, name, *flags = shlex.split(command)
    assert (program, name) in (("castream", "train"), ("castream", "evaluate"))
    return parse_flags([name, *flags]).experiment


def test_the_commands_for_datasets_of_shipped_configs(tmp_path):
    for base, uses in MADE_FOR.items():
        commands = word_next(base, str(tmp_path))
        assert len(commands) == len(uses)
        for command in commands:
            data = settings(command).data
            assert (data.name, data.directory) == (base, str(tmp_path))
    (command,) = word_next("imagenette/320px-v2", str(tmp_path))
    assert settings(command).data.name == "imagenette/320px-v2"
    evaluation, training = map(settings, word_next("imagenet2012", str(tmp_path)))
    assert not evaluation.stream.epochs
    assert (training.model.name, training.weights, training.model.pooling) == ("resnet50", "resnet50.tv_in1k", "ca")


def test_the_command_for_pictures_of_ones_own(image_root, tmp_path, capsys):
    main(["prepare", "my_pets", f"--images={image_root}", f"--directory={tmp_path / 'a folder'}"])
    *_, title, command = capsys.readouterr().out.splitlines()
    assert title == "use it with:"
    experiment = settings(command.strip())
    assert experiment.backbone.epochs > 0
    assert experiment.data.name == "my_pets"
    for split, count in (("train", 6), (experiment.data.validation_split, 3), (experiment.evaluation.split, 3)):
        assert len(open_split(experiment.data, split)) == count


@pytest.mark.parametrize(
    ("splits", "flags"),
    [
        (["train", "validation", "test"], []),
        (["train", "val"], ["--config.evaluation.split=val"]),
        (["train", "test"], ["--config.data.validation_split=test"]),
        (["test", "train", "extra"], ["--config.data.validation_split=test"]),
        (["one", "two"], [f"--config.{key}" for key in
                          ("data.train_split=one", "data.validation_split=two", "evaluation.split=two")]),
        (["train"], [f"--config.{key}" for key in
                     ("data.train_split=train[:90%]", "data.validation_split=train[90%:]",
                      "evaluation.split=train[90%:]")]),
    ],
)  # fmt: skip
def test_splits_of_other_names_are_named(splits, flags):
    assert word_splits(splits) == flags


def test_the_command_for_an_unprepared_dataset_is_one(tmp_path):
    """It begins with what it is, and names what the user has to fill in."""
    for name in ("cifar10", "imagenet2012", "mit67"):
        with pytest.raises(InputError) as caught:
            open_source(name, "train", str(tmp_path / "a folder"))
        found = re.search(r"castream (prepare .*?--directory='?[^',]*'?)", str(caught.value))
        assert found
        options = parse(shlex.split(found[1]))
        assert (options.name, options.directory) == (name, str(tmp_path / "a folder"))
        assert bool(options.manual) == (name != "cifar10")


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
        (["cifar"], "Did you mean 'cifar10' or 'cifar100'"),
        (["imagenete"], "Did you mean 'imagenette' or 'imagenet"),
    ],
)
def test_mistakes_are_named(capsys, argv, said):
    assert said in fails(capsys, *argv)
