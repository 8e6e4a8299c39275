"""`castream`: its commands, its help, and the configs that it finds by name."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from castream_jax.cli import command, origin
from castream_jax.cli.main import COMMANDS, main
from castream_jax.errors import InputError
from castream_jax.version import VERSION


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words, capsys):
    main(["castream", *words])
    said = capsys.readouterr().out
    for name, does in COMMANDS.items():
        assert f"  {name:<11}{does}\n" in said


def test_every_command_has_its_file():
    files = {path.stem for path in Path(command.__file__).parent.glob("*.py")}
    assert files == {"__init__", "main", "command", "origin", "arguments", "ending", "terminal", *COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_takes(name, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "show_log", lambda: None)
        with contextlib.suppress(SystemExit):  # as argparse ends
            main(["castream", name, "--help"])
    assert "--" in capsys.readouterr().out


def test_the_version(capsys):
    main(["castream", "--version"])
    assert capsys.readouterr().out == f"castream {VERSION}\n"


@pytest.mark.parametrize(
    ("word", "said"), [("trian", "Did you mean 'train'?"), ("--config=demo", "Choose one of: train")]
)
def test_an_unknown_command(word, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["castream", word])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: unknown command '{word}'. ")
    assert said in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("module", ["castream_jax", "castream_jax.data.prepare", "castream_jax.report.comparison"])
def test_modules_that_are_commands(module):
    ended = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
    assert "castream" in ended.stdout


@pytest.mark.parametrize("text", ["convnext_ca", "convnext_ca.py", "configs/convnext_ca.py"])
def test_a_shipped_config_by_name(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.parse_flags(["castream train", f"--config={text}"]).experiment.name == "convnext_ca"
    (tmp_path / text).parent.mkdir(exist_ok=True)
    shutil.copy(origin.CONFIGS / "demo.py", tmp_path / text)  # a file comes first
    assert command.parse_flags(["castream train", f"--config={text}"]).experiment.name == "demo"


@pytest.mark.parametrize("text", ["convnxt_ca", "configs/convnxt_ca.py", "mine/convnxt_ca.py"])
def test_a_config_that_is_not_there(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no config file .*Did you mean 'convnext_ca'.*Choose one of: conv"):
        command.parse_flags(["castream train", f"--config={text}"])
    with pytest.raises(InputError, match="there is no config file 'mine/demo.py'"):
        command.parse_flags(["castream train", "--config=mine/demo.py"])
