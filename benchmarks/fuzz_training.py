"""Trains with random configs, as `train.py` would, and counts how runs end: none may show a traceback.

    python -m benchmarks.fuzz_training [RUNS] [SEED]

Starts from a small experiment that trains in seconds, changes up to three settings of each run (50 unless told) to
likely and unlikely values, and runs the whole of `train`. A run that would take long by what it asks for is made
smaller first: at most 2 epochs, 64 pixels and the small network, no workers.
"""

import collections
import contextlib
import copy
import dataclasses
import io
import sys
import tempfile
from typing import Any
from unittest import mock

from absl import flags
from hypothesis import HealthCheck, Phase, given, seed, settings
from tqdm import tqdm

from castream_jax.cli import command, origin
from castream_jax.data.builders import castream_demo
from castream_jax.training.loop import train
from tests import fuzzing
from tests.demo_data import SIZES
from tests.training.small import small_experiment


def make_smaller(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return settings that ask for no more than seconds of work, where they are settings at all."""
    limits = {("data", "image_size"): 64, ("data", "workers"): 0, ("backbone", "epochs"): 2, ("stream", "epochs"): 2}
    smaller = copy.deepcopy(experiment)
    for (group, key), most in limits.items():
        found = smaller.get(group)
        if isinstance(found, dict) and isinstance(found.get(key), int) and found[key] > most:
            found[key] = most
    return smaller


def main(runs: int, first: int) -> None:
    """Train, and print the counts."""
    for name, size in SIZES.items():
        castream_demo.PARTS[name] = dataclasses.replace(castream_demo.PARTS[name], images=size)
    endings: collections.Counter = collections.Counter()
    with tempfile.TemporaryDirectory() as place, tqdm(total=runs) as bar:
        start = small_experiment(place).to_dict()

        @seed(first)
        @settings(
            max_examples=runs,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(fuzzing.changed_settings(start))
        def run_one(changed: dict[str, Any]) -> None:
            said = io.StringIO()
            read = mock.patch.object(origin, "load_config", return_value=make_smaller(changed))
            with tempfile.TemporaryDirectory() as workdir, read:
                try:
                    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                        command.run(train, "", ["train.py", f"--workdir={workdir}/run", "--nocompile_cache"])
                    endings["trained"] += 1
                except SystemExit as ended:
                    endings[f"one message, exit code {ended.code}"] += 1
                except Exception:
                    print(f"\n{changed}", file=sys.stderr)
                    raise
            bar.update()

        run_one()
    for ending, count in sorted(endings.items()):
        print(f"{count:5} {ending}")
    print(f"{endings.total():5} in all; tracebacks: 0")


if __name__ == "__main__":
    flags.FLAGS.mark_as_parsed()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
