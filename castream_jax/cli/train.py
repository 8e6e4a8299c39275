"""`castream train`: trains a CA-Stream on a frozen network."""

import functools
import shlex
import sys
from pathlib import Path

import jax

from castream_jax.cli.command import run
from castream_jax.cli.origin import name_command
from castream_jax.config import Experiment
from castream_jax.training.loop import train


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    argv = sys.argv if argv is None else argv
    following = name_command("evaluate", argv[0])
    run(functools.partial(train_network, following), "Trains a CA-Stream on a frozen network.", argv)


def train_network(following: str, experiment: Experiment, workdir: Path) -> None:
    """Train, and say what comes next."""
    train(experiment, workdir)
    if jax.process_index() == 0:
        where = shlex.quote(str(workdir))
        print(f"trained: checkpoints and logs are in {workdir}. Next: {following} --workdir {where}")
