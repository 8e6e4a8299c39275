"""`castream train`: trains a CA-Stream on a frozen network."""

from pathlib import Path

import jax

from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.training.loop import train


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(train_network, "Trains a CA-Stream on a frozen network.", argv)


def train_network(experiment: Experiment, workdir: Path) -> None:
    """Train, and say what comes next."""
    train(experiment, workdir)
    if jax.process_index() == 0:
        print(f"trained: checkpoints and logs are in {workdir}. Next: castream evaluate with the same flags.")
