"""The command line: overrides, and one message with exit code 2 for every mistake."""

from pathlib import Path

import pytest

from castream_jax import command
from castream_jax.errors import InputError

DEMO = str(command.DEFAULT_CONFIG)


def test_no_flags_mean_the_demo():
    experiment, workdir, _ = command.parse_flags(["train.py"])
    assert experiment.name == "demo"
    assert workdir == Path("runs/demo")


@pytest.mark.parametrize("config", [["--config", DEMO], [f"--config={DEMO}"]])
def test_overrides(config, tmp_path):
    argv = ["train.py", *config, "--config.stream.epochs=3", "--config.stream.learning_rate=1", f"--workdir={tmp_path}"]
    argv += ["--config.evaluation.attributions=('grad_cam',)", "--noconfig.data.flip"]
    experiment, workdir, _ = command.parse_flags(argv)
    assert (experiment.stream.epochs, experiment.stream.learning_rate) == (3, 1.0)
    assert experiment.evaluation.attributions == ("grad_cam",)
    assert not experiment.data.flip
    assert workdir == tmp_path


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
        (["--confg=x"], "confg"),
        (["--workdir", DEMO], "is a file"),
        (["--config", DEMO, "--config", DEMO], "twice"),
    ],
)
def test_mistakes_exit_with_2_and_one_message(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(lambda *_: None, "", ["train.py", *arguments])
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


def test_our_own_mistakes_keep_their_traceback():
    def broken(*_):
        raise KeyError("ours")

    with pytest.raises(KeyError):
        command.run(broken, "", ["train.py"])


def test_help_is_short(capsys):
    command.run(lambda *_: None, "Trains.", ["train.py", "--help"])
    assert "--workdir" in capsys.readouterr().out


def test_a_scripts_own_flags(capsys):
    found = {}
    command.run(lambda *_, output: found.update(output=output), "", ["x.py", "--output=a.txt"], output="where to write")
    assert found == {"output": "a.txt"}
    command.run(lambda *_, output: None, "Exports.", ["x.py", "--help"], output="where to write")
    assert "--output VALUE" in capsys.readouterr().out
