"""The command line: overrides, and one message with exit code 2 for every mistake."""

from pathlib import Path

import pytest

from castream_jax.cli import command, origin
from castream_jax.errors import InputError, RunError, Stopped

DEMO = str(origin.CONFIGS / "demo.py")


def test_no_flags_mean_the_demo():
    line = command.parse_flags(["train.py"])
    assert line.experiment.name == "demo"
    assert line.workdir == Path("runs/demo")
    assert line.compile_cache == Path("runs/.jax_cache").absolute()
    assert line.distributed == ""


@pytest.mark.parametrize("config", [["--config", DEMO], [f"--config={DEMO}"]])
def test_overrides(config, tmp_path):
    argv = ["train.py", *config, "--config.stream.epochs=3", "--config.stream.learning_rate=1", f"--workdir={tmp_path}"]
    argv += ["--config.evaluation.attributions=('grad_cam',)", "--noconfig.data.flip"]
    line = command.parse_flags([*argv, "--nocompile_cache"])
    experiment = line.experiment
    assert (experiment.stream.epochs, experiment.stream.learning_rate) == (3, 1.0)
    assert experiment.evaluation.attributions == ("grad_cam",)
    assert not experiment.data.flip
    assert line.workdir == tmp_path
    assert line.compile_cache is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config.stream.epoch=3"], "Did you mean 'epochs'"),
        (["--config.steam.epochs=3"], "Did you mean 'stream'"),
        (["--config.seed.x=3"], "no settings below"),
        (["--config.stream.epochs=many"], "many"),
        (["--config.stream.epochs=2.5"], "2.5"),
        (["--config.stream.optimizer=adam"], "Did you mean 'adamw'"),
        (["--config.data.flip", "false"], "unexpected argument 'false'"),
        (["--config", "configs/nothing.py"], "there is no config file"),
        (["--config"], "needs a file"),
        (["--confg=x"], "no flag --confg. Did you mean --config?"),
        (["--batch_size=3"], "Did you mean --config.backbone.batch_size or --config.evaluation.batch_size or"),
        (["--workdirs=3"], "Did you mean --workdir?"),
        (["--workdir", DEMO], "is a file"),
        (["--config", DEMO, "--config", DEMO], "twice"),
    ],
)
def test_mistakes_exit_with_2_and_one_message(arguments, said, capsys):
    config = [] if "--config" in arguments else ["--config", "demo"]
    with pytest.raises(SystemExit) as stopped:
        command.run(lambda *_: None, "", ["train.py", "--nocompile_cache", *config, *arguments])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def get_config(", "SyntaxError"),
        ("x = 1", "get_config"),
        ("def get_config():\n    return {'name': 'x', 'sed': 1}", "Did you mean 'seed'"),
    ],
)
def test_a_broken_config_file_is_named(text, said, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        command.parse_flags(["train.py", "--config", str(path)])


@pytest.mark.parametrize(("error", "code"), [(InputError("no"), 2), (RunError("no"), 1)])
def test_what_ends_with_a_message(error, code, capsys):
    def fails(*_):
        raise error

    with pytest.raises(SystemExit) as stopped:
        command.run(fails, "", ["train.py", "--nocompile_cache"])
    assert stopped.value.code == code
    about, last = capsys.readouterr().err.splitlines()
    assert about.startswith(
        "config demo, work directory runs/demo, network resnet18_small (ca), data castream_demo, on 8"
    )
    assert last == "error: no"


def test_a_stopped_run_is_no_error(capsys):
    def stops(*_):
        raise Stopped("saved")

    command.run(stops, "", ["train.py", "--nocompile_cache"])
    assert capsys.readouterr().out == "saved\n"


@pytest.mark.parametrize("address", ["here", "host:1,0", "host:1,2,2", "host,0,2", "host:1,a,2"])
def test_addresses_that_are_none(address, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(lambda *_: None, "", ["train.py", "--nocompile_cache", f"--distributed={address}"])
    assert stopped.value.code == 2
    assert f"--distributed is '{address}'" in capsys.readouterr().err


def test_our_own_mistakes_keep_their_traceback():
    def broken(*_):
        raise KeyError("ours")

    with pytest.raises(KeyError):
        command.run(broken, "", ["train.py", "--nocompile_cache"])


def test_help_is_short(capsys):
    command.run(lambda *_: None, "Trains.", ["train.py", "--help"])
    assert "--workdir" in capsys.readouterr().out


def test_a_scripts_own_flags(capsys):
    found = {}
    argv = ["x.py", "--nocompile_cache", "--output=a.txt"]
    command.run(lambda *_, output: found.update(output=output), "", argv, output="where to write")
    assert found == {"output": "a.txt"}
    command.run(lambda *_, output: None, "Exports.", ["x.py", "--help"], output="where to write")
    assert "--output VALUE" in capsys.readouterr().out


def test_a_scripts_own_switches():
    found = {}
    for argv in (["x.py", "--dry_run"], ["x.py"]):
        command.run(
            lambda *_, dry_run: found.update({len(found): dry_run}),
            "",
            [*argv, "--nocompile_cache"],
            switches={"dry_run": "say what it would cost"},
        )
    assert found == {0: True, 1: False}


def test_arguments_that_are_no_flags(capsys):
    found = []

    def main(experiment, workdir, arguments, output):
        found.append((arguments, output, experiment.seed))

    argv = [
        "x.py",
        "a.jpg",
        "--output=o",
        "--nocompile_cache",
        "b c.jpg",
        "--config=demo",
        "--config.seed=3",
        "--",
        "--d.jpg",
    ]
    command.run(main, "", argv, arguments="PICTURES…", output="where to write")
    assert found == [(["a.jpg", "b c.jpg", "--d.jpg"], "o", 3)]
    command.run(main, "Explains.", ["x.py", "--help"], arguments="PICTURES…", output="where to write")
    assert "Arguments: PICTURES…" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["sys.exit()", "sys.exit('bye')", "exit(3)", "raise SystemExit"])
def test_a_config_file_that_exits(tmp_path, ending):
    file = tmp_path / "leaves.py"
    file.write_text(f"import sys\n{ending}\n")
    with pytest.raises(InputError, match=r"leaves\.py' fails: SystemExit"):
        command.parse_flags(["train.py", f"--config={file}"])


def test_a_group_of_settings_is_not_set_at_once():
    for argument in ("--config.model=x", "--config.data={}", "--config.own_protocol=3"):
        with pytest.raises(InputError, match=r"this is a group of settings\. Set one of .*name"):
            command.parse_flags(["train.py", "--config=demo", argument])


def test_flags_are_not_read_from_files():
    for argument in ("--flagfile=/dev/zero", "-flagfile", "--flagfile"):
        with pytest.raises(InputError, match="flags are not read from files"):
            command.parse_flags(["train.py", argument, "x"])


def test_an_array_for_a_choice(tmp_path):
    file = tmp_path / "array.py"
    file.write_text(
        "import numpy as np\nfrom castream_jax.config import Experiment\n"
        "def get_config():\n"
        "    values = Experiment(name='x').to_dict()\n"
        "    values['model']['stream_init'] = np.array(['reference', 'identity'])\n"
        "    return values\n"
    )
    with pytest.raises(InputError, match=r"unknown config\.model\.stream_init"):
        command.parse_flags(["train.py", f"--config={file}"])
