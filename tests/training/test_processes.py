"""The same `train.py` and config on one device, on eight, and in two processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from castream_jax.models.classifier import create_model
from castream_jax.weights.convert import export_weights
from tests.compiler_flags import FLAGS
from tests.compiling import IN_A_HURRY, share_programs_of_runs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
STEPS = 6


def start(arguments: list[str], data: Path, devices: int = 1, script: str = "train.py") -> subprocess.Popen:
    flags = f"{FLAGS} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=ROOT,
        env=os.environ | IN_A_HURRY | {"TFDS_DATA_DIR": str(data), "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def runs(demo_directory, tmp_path_factory):
    """Return the work directories of three runs of `STEPS` steps of the stream."""
    place = tmp_path_factory.mktemp("runs")
    share_programs_of_runs(place)
    save_file(export_weights(create_model("resnet18_small", "gap", num_classes=10, seed=3)), place / "gap.safetensors")
    arguments = [
        "--config=configs/demo.py",
        f"--config.weights={place / 'gap.safetensors'}",
        "--config.data.image_size=32",
        "--config.backbone.epochs=0",
        f"--config.stream.epochs={STEPS // 3}",
        "--config.stream.batch_size=32",  # 3 batches in an epoch of 96 images
        "--config.stream.mixup=0.2",
        "--config.stream.log_every=1",
    ]
    finish(start([*arguments, f"--workdir={place / 'one'}"], demo_directory))
    finish(start([*arguments, f"--workdir={place / 'eight'}"], demo_directory, devices=8))
    address = f"127.0.0.1:{free_port()}"
    two = [*arguments, f"--workdir={place / 'two'}"]
    finish(*(start([*two, f"--distributed={address},{process},2"], demo_directory) for process in (0, 1)))
    return {name: place / name for name in ("one", "eight", "two")}


def summary(workdir: Path) -> dict:
    return json.loads((workdir / "summary.json").read_text())


def read_log(workdir: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def test_they_ran_as_they_were_told_to(runs):
    assert [summary(runs[name])["devices"] for name in ("one", "eight", "two")] == [1, 8, 2]
    assert [summary(runs[name])["processes"] for name in ("one", "eight", "two")] == [1, 1, 2]


@pytest.mark.parametrize("name", ["eight", "two"])
def test_losses_and_accuracies_are_those_of_one_device(name, runs):
    losses = read_log(runs["one"], "loss")
    assert len(losses) == STEPS
    np.testing.assert_allclose(read_log(runs[name], "loss"), losses, rtol=1e-5)
    for metric in ("accuracy", "validation_accuracy_gap", "validation_accuracy_ca"):
        assert read_log(runs[name], metric) == pytest.approx(read_log(runs["one"], metric))


@pytest.mark.parametrize("name", ["eight", "two"])
def test_frozen_arrays_keep_every_bit(name, runs):
    assert summary(runs[name])["frozen_sha256"] == summary(runs["one"])["frozen_sha256"]


def test_two_processes_find_the_same_rows_and_one_writes_the_report(runs, demo_directory, tmp_path):
    """80 images are two parts, one for each process; the first was made by a process that was killed."""
    share_programs_of_runs(tmp_path)
    for name in ("one", "two"):
        shutil.copytree(runs["one"] / "checkpoints", tmp_path / name / "checkpoints")
    arguments = [
        "--config=configs/demo.py",
        "--config.data.image_size=32",
        "--config.evaluation.split=train",
        "--config.evaluation.num_images=80",
        "--config.evaluation.num_figures=2",
        "--config.evaluation.attributions=('grad_cam',)",
    ]

    def launch(name: str, *more: str) -> subprocess.Popen:
        return start([*arguments, f"--workdir={tmp_path / name}", *more], demo_directory, script="evaluate.py")

    finish(launch("one"))
    killed = launch("two")
    while not list((tmp_path / "two").glob("evaluation/castream/parts-*/*.parquet")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    address = f"127.0.0.1:{free_port()}"
    finish(*(launch("two", f"--distributed={address},{process},2") for process in (0, 1)))
    one, two = (tmp_path / name / "evaluation" / "castream" for name in ("one", "two"))
    assert (one / "rows.parquet").read_bytes() == (two / "rows.parquet").read_bytes()
    assert (two / "report.html").is_file()
