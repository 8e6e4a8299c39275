"""`castream study`: trains and measures several poolings and experiments on one trunk, and puts them side by side."""

import dataclasses
import logging
import re
import sys
from pathlib import Path

import jax

from castream_jax.cli.command import run
from castream_jax.cli.evaluate import evaluate_network
from castream_jax.cli.origin import find_config, load_config
from castream_jax.compute.sharding import wait_for_all
from castream_jax.config import Experiment, from_dict
from castream_jax.cpu import use_cores_as_devices
from castream_jax.errors import InputError
from castream_jax.storage.replacement import replacing
from castream_jax.study.finished import find_finished, mark_finished
from castream_jax.study.picture import draw_study
from castream_jax.study.results import read_results
from castream_jax.study.table import render_table
from castream_jax.training.loop import train

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Run the command: what is no flag are configs, the first of which may be named by --config, too."""
    argv = list(sys.argv if argv is None else argv)
    if not any(re.match("--?config(=|$)", argument) for argument in argv):
        first = next((place for place, argument in enumerate(argv[1:], 1) if is_config(argv, place)), None)
        if first is not None:
            argv[first] = f"--config={argv[first]}"
    run(
        run_study,
        "Trains and measures several poolings and experiments on one trunk, and puts them side by side.",
        argv,
        prepare=lambda experiment: use_cores_as_devices(experiment.evaluation.batch_size),
        arguments="further configs, whose experiments join that of --config; they start from its trunk",
        default="studies/placement",
    )


def is_config(argv: list[str], place: int) -> bool:
    """Return whether a part of a command line is no flag, nor the value of one."""
    return not argv[place].startswith("-") and argv[place - 1] not in ("--workdir", "-workdir", "--distributed")


def run_study(experiment: Experiment, workdir: Path, arguments: list[str]) -> None:
    """Train and measure what is missing, write the table and the picture, and print the table."""
    experiments = {experiment.name: experiment}
    for argument in arguments:
        other = from_dict(load_config(find_config(argument)))
        if other.name in experiments:
            raise InputError(f"two experiments of the study are called {other.name!r}: give each a name of its own.")
        experiments[other.name] = share_trunk(other, experiment, workdir / experiment.name)
    reports = {name: finish(each, workdir / name) for name, each in experiments.items()}
    if jax.process_index() == 0:
        done = {name: report for name, report in reports.items() if report is not None}
        results = read_results({name: (experiments[name], workdir / name, report) for name, report in done.items()})
        table = render_table(experiment.name, results)
        with replacing(workdir / "study.md") as path:
            path.write_text(table, encoding="utf-8")
        draw_study(results, workdir / "study.png")
        print(table)
        print(f"study: {workdir / 'study.md'}, {workdir / 'study.png'}")
    wait_for_all("the study is written")


def share_trunk(other: Experiment, first: Experiment, workdir: Path) -> Experiment:
    """Return an experiment that starts from the trunk that the first one trains, where it would train the same."""
    alike = ("backbone", "data", "seed", "weights", "replace_classifier", "classes")
    if not other.backbone.epochs or any(getattr(other, name) != getattr(first, name) for name in alike):
        return other
    if other.model.name != first.model.name:
        return other
    return dataclasses.replace(
        other, weights=str(workdir), backbone=dataclasses.replace(other.backbone, epochs=0), replace_classifier=False
    )


def finish(experiment: Experiment, workdir: Path) -> Path | None:
    """Train and measure an experiment, but for what is done, and return its `report.json`, in the first process."""
    report = find_finished(workdir, experiment)
    if report is not None:
        log.info("%s is done: %s", experiment.name, report)
        return report
    train(experiment, workdir)
    report = evaluate_network(experiment, workdir, dry_run=False)
    if report is not None:
        mark_finished(workdir, experiment, report)
    return report
