"""Trains a CA-Stream on a frozen network: python train.py --config configs/demo.py [--workdir DIR]."""

from pathlib import Path

import jax

from castream_jax.command import run
from castream_jax.config import Experiment
from castream_jax.training.loop import train


def main(experiment: Experiment, workdir: Path) -> None:
    """Train, and say what comes next."""
    train(experiment, workdir)
    if jax.process_index() == 0:
        print(f"trained: checkpoints and logs are in {workdir}. Next: python evaluate.py with the same flags.")


if __name__ == "__main__":
    run(main, "Trains a CA-Stream on a frozen network.")
