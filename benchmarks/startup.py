"""How long a command takes to start, by cause: python -m benchmarks.startup WORKDIR PICTURE.

Of `evaluate.py` to the results of its first batch, which takes what the second one does; of `explain.py` to the end of
its one picture. Each is run in a process of its own, without kept programs and then with them.
"""

import argparse
import collections
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CAUSES = {
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
    "/jax/core/compile/backend_compile_duration": "compiling",  # or reading what is kept
}
COLUMNS = ("total", "imports", *CAUSES.values(), "batch", "rest")


def run_command(argv: list[str]) -> None:
    """Run a command of the package in this process, and print the seconds of each cause as the last line."""
    start = time.perf_counter()
    import jax

    found: dict[str, float] = collections.defaultdict(float)

    def hear(event: str, seconds: float, **_: object) -> None:
        if event in CAUSES and "total" not in found:
            found[CAUSES[event]] += seconds

    jax.monitoring.register_event_duration_secs_listener(hear)
    command = importlib.import_module(f"castream_jax.cli.{argv[0]}")
    found["imports"] = time.perf_counter() - start
    if argv[0] == "evaluate":
        mark_batches(found, start)
    command.main([f"castream {argv[0]}", *argv[1:]])
    found.setdefault("total", time.perf_counter() - start)
    print("\n" + json.dumps(found))


def mark_batches(found: dict[str, float], start: float) -> None:
    """Let an evaluation's total be the time until its first batch is done, and take the time of the second one."""
    import jax

    from castream_jax.evaluation import runner

    create, ends = runner.create_evaluate_batch, list[float]()

    def create_marked(*arguments: object) -> object:
        function = create(*arguments)  # type: ignore[arg-type]

        def evaluate_batch(*inputs: object) -> object:
            results = jax.block_until_ready(function(*inputs))  # type: ignore[arg-type]
            ends.append(time.perf_counter())
            found.setdefault("total", ends[0] - start)
            if len(ends) == 2:
                found["batch"] = ends[1] - ends[0]
            return results

        return evaluate_batch

    runner.create_evaluate_batch = create_marked  # type: ignore[assignment]


def time_command(argv: list[str], place: Path) -> dict[str, float]:
    """Return the seconds of each cause of a command in a process of its own; its programs are kept beside a copy of the
    work directory, in a folder.
    """
    workdir = place / "run"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir()
    for name in ("checkpoints", "experiment.json"):
        (workdir / name).symlink_to(Path(argv[1]).resolve() / name)
    line = [sys.executable, "-m", "benchmarks.startup", "--command", argv[0], f"--workdir={workdir}", *argv[2:]]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(line, env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"error: {' '.join(line)} ended with {ended.returncode}:\n{ended.stderr}")
    found = json.loads(ended.stdout.strip().splitlines()[-1])
    return found | {"rest": 2 * found["total"] - sum(found.values())}  # the total is in the sum


def main() -> None:
    """Print a table: medians and ranges."""
    if sys.argv[1:2] == ["--command"]:
        return run_command(sys.argv[2:])
    parser = argparse.ArgumentParser(description="Measures how long the commands take to start, by cause.")
    parser.add_argument("workdir", help="of a trained network")
    parser.add_argument("picture")
    parser.add_argument("--runs", type=int, default=3, help="of each kind (default: %(default)s)")
    chosen, settings = parser.parse_known_args()  # flags of both commands
    commands = {
        "evaluate": ["evaluate", chosen.workdir, "--config.evaluation.num_figures=0"],
        "explain": ["explain", chosen.workdir, chosen.picture],
    }
    print(f"| command | kept programs | {' | '.join(COLUMNS)} |\n|---|---|{'---:|' * len(COLUMNS)}")
    for name, argv in commands.items():
        found: dict[str, list[dict[str, float]]] = {"none": [], "all": []}
        for _ in range(chosen.runs):
            with tempfile.TemporaryDirectory() as place:
                for times in found.values():
                    times.append(time_command([*argv, *settings], Path(place)))
        for kind, times in found.items():
            cells = [[each.get(column, 0.0) for each in times] for column in COLUMNS]
            texts = [f"{statistics.median(cell):.1f} ({min(cell):.1f}-{max(cell):.1f})" for cell in cells]
            print(f"| {name} | {kind} | {' | '.join(texts)} |", flush=True)
    return None


if __name__ == "__main__":
    main()
