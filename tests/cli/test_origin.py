"""Which experiment a command line is about, and the commands that are printed for the next step."""

import json
import shlex
from pathlib import Path

import pytest

from castream_jax.cli import command
from castream_jax.cli.origin import CONFIGS, name_command, retype
from castream_jax.config import from_dict
from castream_jax.errors import InputError, NotTrained
from castream_jax.experiment.record import NAME, write_record


def read(*arguments):
    return command.parse_flags(["evaluate.py", *arguments])


def test_a_work_directory_knows_its_experiment(tmp_path):
    experiment = read("--config=demo", "--config.seed=5", "--config.evaluation.attributions=('grad_cam',)").experiment
    write_record(experiment, tmp_path)
    line = read(f"--workdir={tmp_path}")
    assert line.experiment == experiment
    assert line.workdir == tmp_path
    assert line.origin == f"that of {tmp_path}"
    assert read("--workdir", str(tmp_path), "--config.seed=6").experiment.seed == 6
    assert read(f"--workdir={tmp_path}", "--config=demo").experiment.seed == 0  # what is named counts


@pytest.mark.parametrize("arguments", [["--config.data.name=imagenet2012"], ["--noconfig.data.flip"]])
def test_settings_of_no_experiment(arguments):
    with pytest.raises(InputError, match=r"is given, and no --config: name the experiment.*resnet50_ca"):
        read(*arguments)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_work_directory_without_a_run(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no run yet, and no --config"):
        read(f"--workdir={tmp_path / place}")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"name": "x", "sed": 1})])
def test_a_record_that_cannot_be_read(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(InputError, match="does not say of which experiment it is .*name its config with --config"):
        read(f"--workdir={tmp_path}")


def test_a_record_is_a_whole_experiment(tmp_path):
    experiment = read("--config=convnext_ca").experiment
    write_record(experiment, tmp_path)
    assert from_dict(json.loads((tmp_path / NAME).read_text())) == experiment


def test_the_next_command_is_typed_as_this_one():
    assert name_command("evaluate", "train.py") == "python evaluate.py"
    assert name_command("evaluate", "/some where/train.py") == "python '/some where/evaluate.py'"
    assert name_command("evaluate", "castream train") == "castream evaluate"
    argv = ["evaluate.py", "--config", "my config.py", "--dry_run", "--workdir=w", "--noconfig.data.flip", "a.jpg"]
    assert retype("train", argv) == "python train.py --config 'my config.py' --workdir=w --noconfig.data.flip"
    again = command.parse_flags(shlex.split(retype("train", ["castream evaluate", "--config", "demo"]))[1:])
    assert again.experiment.name == "demo"


def test_what_is_missing_is_made_by_the_command_that_is_printed(capsys):
    def measure(*_):
        raise NotTrained("there is no checkpoint in w: train a network first.")

    demo = str(Path(CONFIGS) / "demo.py")
    with pytest.raises(SystemExit):
        command.run(measure, "", ["evaluate.py", "--nocompile_cache", "--config", demo, "--config.seed=3"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        "error: there is no checkpoint in w: train a network first. "
        f"python train.py --config {shlex.quote(demo)} --config.seed=3"
    )
