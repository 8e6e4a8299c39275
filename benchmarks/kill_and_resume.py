"""Kills the demo's training with SIGKILL at random moments, half of them during a save, and compares the end.

    python -m benchmarks.kill_and_resume [KILLS]

Trains twice undisturbed and once with KILLS kills (20 unless told), on the demo's data with fewer epochs. Ends with
exit code 1 if a single bit of the trained or frozen arrays, or a logged loss, differs.
"""

import collections
import sys
import tempfile
from pathlib import Path

from tests.faults.kills import kill_and_resume

TRAINING = [
    "--config=configs/demo.py",
    "--config.backbone.epochs=1",
    "--config.stream.epochs=1",
    "--config.backbone.save_every=20",
    "--config.stream.save_every=10",
]


def main(kills: int) -> None:
    """Kill, compare and say where the kills struck."""
    with tempfile.TemporaryDirectory() as place:
        struck = kill_and_resume(TRAINING, None, Path(place), kills)
    where = ", ".join(f"{count} {name}" for name, count in collections.Counter(struck).items())
    print(f"{kills} kills ({where}): parameters, frozen arrays and losses are bit-identical to the undisturbed run")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
