"""Kills training with SIGKILL, again and again, and lets it go on: it must end where an undisturbed run ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.compiling import IN_A_HURRY

ROOT = Path(__file__).parent.parent.parent


def start(arguments: list[str], data: Path | None, log: Path) -> subprocess.Popen:
    """Start `python train.py` in a process group of its own; with `data` of tests it compiles in a hurry."""
    environment = os.environ | ({"TFDS_DATA_DIR": str(data)} | IN_A_HURRY if data else {"XLA_FLAGS": ""})
    with open(log, "a") as output:
        return subprocess.Popen(
            [sys.executable, "train.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def finish(arguments: list[str], data: Path | None, log: Path) -> float:
    """Run training to its end, and return how many seconds it took."""
    began = time.monotonic()
    code = start(arguments, data, log).wait()
    assert code == 0, f"exit code {code}:\n{log.read_text()[-3000:]}"
    return time.monotonic() - began


def kill(process: subprocess.Popen, workdir: Path, moment: float, in_a_save: bool) -> str:
    """Kill a run after `moment` seconds, or once it writes a checkpoint after that; return where it was."""
    began = time.monotonic()
    while process.poll() is None:
        late = time.monotonic() - began >= moment
        saving = any(workdir.glob("checkpoints/*/*tmp*"))
        if late and (saving or not in_a_save):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "in a save" if saving else "elsewhere"
        time.sleep(0.002)
    return "never: it had ended"


def outcome(workdir: Path) -> tuple[str, str, list[tuple[str, int, float]]]:
    """Return the digests of the trained and the frozen arrays, and every loss that was logged."""
    summary = json.loads((workdir / "summary.json").read_text())
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["stage"], line["step"], line["loss"]) for line in lines if "loss" in line]
    return summary["params_sha256"], summary["frozen_sha256"], losses


def kill_and_resume(arguments: list[str], data: Path | None, place: Path, kills: int, seed: int = 0) -> list[str]:
    """Train undisturbed and killed, and compare; return where each kill struck.

    The second run starts anew after each kill; every other kill waits for a save to strike in.

    Raises:
      AssertionError: the parameters, frozen arrays or logged losses of both runs differ.
    """
    place.mkdir(parents=True, exist_ok=True)
    whole, killed, log = place / "whole", place / "killed", place / "log"
    arguments = [*arguments, "--config.backbone.log_every=1", "--config.stream.log_every=1"]
    finish([*arguments, "--workdir", str(whole)], data, log)
    # Compiled programs are there from now on, so that this is what a run takes between the kills.
    seconds = finish([*arguments, "--workdir", str(place / "again")], data, log)
    rng = random.Random(seed)
    struck = []
    while len(struck) < kills:
        process = start([*arguments, "--workdir", str(killed)], data, log)
        where = kill(process, killed, rng.uniform(0, seconds), in_a_save=len(struck) % 2 == 1)
        if where.startswith("never"):
            assert process.returncode == 0, log.read_text()[-3000:]
            assert outcome(killed)[:2] == outcome(whole)[:2], "a run that was killed ended elsewhere"
            killed = place / f"killed{len(struck)}"
            continue
        struck.append(where)
    finish([*arguments, "--workdir", str(killed)], data, log)
    first, second = outcome(whole), outcome(killed)
    assert first[:2] == second[:2], f"arrays differ: {first[:2]} undisturbed, {second[:2]} killed"
    for stage in {stage for stage, _, _ in first[2]}:
        losses = [[(step, loss) for name, step, loss in found if name == stage] for _, _, found in (first, second)]
        assert losses[0] == losses[1], f"the logged losses of stage {stage} differ"
    return struck
