"""Real processes in poor surroundings: one message, an exit code that tells why, and nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SAVE_TWICE = """
import resource, sys
from pathlib import Path
import numpy as np
from castream_jax.cli import command
from castream_jax.storage.checkpoints import Checkpoints

def main(experiment, workdir):
    trees = {"model": {"a": np.random.default_rng(0).normal(size=10_000)}, "training": {"step": np.int32(1)}}
    with Checkpoints(workdir / "stream", writes=True) as checkpoints:
        checkpoints.save(1, trees, {})
        checkpoints.finish(1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        checkpoints.save(2, trees, {})
        checkpoints.finish(2)

command.run(main, "", ["save.py", "--nocompile_cache", "--config=demo", f"--workdir={sys.argv[1]}"])
"""


def run(shell: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a line of shell, in which `$python` is this Python, from the root of the repository."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"],
        cwd=ROOT,
        env=os.environ | {"python": sys.executable, "XLA_FLAGS": ""} | environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("shell", "environment", "code", "said"),
    [
        ("$python explain.py --help", {"PYTHONIOENCODING": "ascii"}, 0, b""),
        ("$python train.py --help | head -0", {}, 0, b""),
        ("$python train.py --help > /dev/full", {}, 1, b"No space left on device"),
        ("ulimit -n 32; $python train.py", {}, 1, b"may open 32 files at once"),
        ("$python train.py --config README.md", {}, 2, b"'README.md' fails: SyntaxError"),
        ("$python train.py --config demo --config.name=$long", {"long": "x" * 5000}, 2, b"choose a shorter one"),
        ("$python train.py --nocompile_cache", {"JAX_PLATFORMS": "nothing"}, 2, b"JAX_PLATFORMS=nothing"),
    ],
    ids=["ascii", "closed pipe", "full output", "open files", "config", "long name", "platform"],
)
def test_one_message(shell, environment, code, said):
    ended = run(shell, **environment)
    assert ended.returncode == code, ended.stderr[-2000:]
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == bool(code)


def test_control_characters_of_a_name_reach_no_terminal(tmp_path):
    folder = tmp_path / "a\x1b[2J\nerror: forged"
    folder.touch()
    ended = run('$python train.py --config demo --workdir "$folder"', folder=str(folder))
    assert ended.returncode == 2
    assert b"a\\x1b[2J\\nerror: forged is a file" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_save_that_fails_is_told_once_and_loses_nothing(tmp_path):
    ended = run('$python -c "$program" "$place"', program=SAVE_TWICE, place=str(tmp_path), PYTHONPATH=str(ROOT))
    assert ended.returncode == 1, ended.stderr[-2000:]
    _, *said = ended.stderr.decode().splitlines()  # what the run is about
    assert len(said) == 1
    assert "the checkpoint after step 2 could not be saved (File too large)" in said[0]
    assert f"The last good checkpoint is {tmp_path}/stream/1" in said[0]
    assert [path.name for path in (tmp_path / "stream").iterdir()] == ["1"]
