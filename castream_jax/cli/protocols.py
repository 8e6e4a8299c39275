"""`castream protocols`: measures the same maps under every protocol."""

from pathlib import Path

from castream_jax.cli.command import run
from castream_jax.config import Experiment
from castream_jax.cpu import use_cores_as_devices
from castream_jax.evaluation.protocols import measure_protocols, render


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        measure,
        "Measures the same maps under every protocol.",
        argv,
        prepare=lambda experiment: use_cores_as_devices(experiment.evaluation.batch_size),
    )


def measure(experiment: Experiment, workdir: Path) -> None:
    """Measure, and print a Markdown table."""
    print(render(*measure_protocols(experiment, workdir)))
