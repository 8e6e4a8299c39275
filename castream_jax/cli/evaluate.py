"""`castream evaluate`: measures the explanations of a trained network."""

from pathlib import Path

import jax

from castream_jax.cli.command import run
from castream_jax.compute.sharding import wait_for_all
from castream_jax.config import Experiment
from castream_jax.cpu import use_cores_as_devices
from castream_jax.evaluation.estimate import estimate
from castream_jax.evaluation.runner import evaluate
from castream_jax.hook import Hook


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        evaluate_network,
        "Measures the explanations of a trained network, GAP against CA.",
        argv,
        prepare=lambda experiment: use_cores_as_devices(experiment.evaluation.batch_size),
        switches={"dry_run": "say what it would cost, after ten seconds of calibration, and measure nothing"},
    )


def evaluate_network(experiment: Experiment, workdir: Path, dry_run: bool) -> Path | None:
    """Measure, write the report, and print its table; or say what that would cost.

    Returns:
      The report's `report.json`; None in a dry run, and in processes but the first.
    """
    if dry_run:
        from castream_jax.report.selection import most_images

        print(estimate(experiment, most_images(experiment.evaluation.num_figures)))
        return None
    with Hook(experiment, "evaluation", workdir, speaks=jax.process_index() == 0) as hook:
        evaluation = evaluate(experiment, workdir)
        # Here: what draws and writes the report takes long to import, and what is measured does not wait for it.
        from castream_jax.report.numbers import name_numbers
        from castream_jax.report.text import render_terminal
        from castream_jax.report.writing import list_files, write_evaluation

        if evaluation is not None:  # the first process speaks for all
            report, directory = write_evaluation(evaluation, experiment, workdir)
            hook.tell("metrics", stage=evaluation.protocol.name, metrics=name_numbers(report))
            hook.tell("files", files=list_files(directory))
    if evaluation is not None:
        print(render_terminal(report))
        print(f"\nreport: {directory / 'report.html'}")
    wait_for_all("the report is written")  # a process that ends early waits for the others 5 minutes only
    return directory / "report.json" if evaluation is not None else None
