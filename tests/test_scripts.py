"""The scripts as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run
from tests.compiling import IN_A_HURRY, share_programs_of_runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SMALL = [
    "--config",
    "configs/demo.py",
    "--config.data.image_size=32",
    "--config.backbone.epochs=1",
    "--config.stream.epochs=1",
    "--config.evaluation.num_images=8",
    "--config.evaluation.batch_size=8",
    "--config.evaluation.attributions=('score_cam','attention')",
]


def start(script: str, *arguments: str, data: Path) -> subprocess.CompletedProcess:
    environment = os.environ | IN_A_HURRY | {"TFDS_DATA_DIR": str(data)}
    return subprocess.run(
        [sys.executable, script, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_train_then_evaluate(demo_directory, tmp_path):
    share_programs_of_runs(tmp_path)
    tmp_path = tmp_path / "run"
    trained = start("train.py", *SMALL, "--workdir", str(tmp_path), data=demo_directory)
    assert trained.returncode == 0, trained.stderr
    for word in ("loss", "accuracy", "images/s"):
        assert word in trained.stderr
    evaluated = start("evaluate.py", *SMALL, "--workdir", str(tmp_path), data=demo_directory)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "Score-CAM" in evaluated.stdout
    report = json.loads((tmp_path / "evaluation" / "castream" / "report.json").read_text())
    assert report["num_images"] == 8
    assert str(tmp_path / "evaluation" / "castream" / "report.html") in evaluated.stdout
    pictures = [str(ROOT / "docs" / "images" / "demo.jpg"), str(ROOT / "README.md")]
    explained = start("explain.py", *SMALL, "--workdir", str(tmp_path), *pictures, data=demo_directory)
    assert explained.returncode == 1  # of two pictures one is none
    assert "cannot read" in explained.stderr
    assert "Traceback" not in explained.stderr
    assert {path.name for path in (tmp_path / "explanations").iterdir()} == {"index.html", "demo.png"}


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("train.py", ["--config.stream.epoch=1"], "Did you mean 'epochs'"),
        ("evaluate.py", [], "train a network first. python train.py --config=demo"),
        ("explain.py", [], "nothing to explain"),
    ],
)
def test_mistakes_end_with_code_2_and_one_message(script, arguments, said, demo_directory, tmp_path):
    ended = start(script, "--config=demo", *arguments, "--workdir", str(tmp_path / "run"), data=demo_directory)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("script", "argument", "said"),
    [
        ("train.py", "--config.model.name=resnet18_smal", "Did you mean 'resnet18_small'"),
        ("train.py", "--config.data.name=castream_dem", "Did you mean 'castream_demo'"),
        ("evaluate.py", "--config.evaluation.protocol=rice", "Did you mean 'rise'"),
    ],
)
def test_mistaken_values_end_with_code_2_and_one_message(
    script, argument, said, demo_directory, tmp_path, capsys, monkeypatch
):
    """In this process: what they have in common with the others is the way out, which those take."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(demo_directory))
    flags = ["--config=demo", "--nocompile_cache", f"--workdir={tmp_path / 'run'}"]
    code, printed = run(["python", script, *flags, argument], capsys)
    assert code == 2
    assert said in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "run").exists()
