"""`castream study`: trains and measures several poolings and experiments on one trunk, and puts them side by side."""

import dataclasses
import functools
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from castream_jax.cli.command import run
from castream_jax.cli.evaluate import evaluate_network
from castream_jax.cli.origin import find_config, load_config, take_config
from castream_jax.compute.sharding import wait_for_all
from castream_jax.config import Experiment, from_dict
from castream_jax.cpu import use_cores_as_devices
from castream_jax.errors import InputError
from castream_jax.experiment.loading import BACKBONE, checkpoint_directory, last_stage
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
        functools.partial(run_study, argv=argv),
        "Trains and measures several poolings and experiments on one trunk, and puts them side by side.",
        argv,
        prepare=lambda experiment: use_cores_as_devices(experiment.evaluation.batch_size),
        arguments="further configs, whose experiments join that of --config, with the settings that are changed here, "
        "and start from its trunk",
        default="studies/placement",
    )


def is_config(argv: list[str], place: int) -> bool:
    """Return whether a part of a command line is no flag, nor the value of one."""
    takes_one = re.fullmatch(r"--?(workdir|distributed|config\.[^=]*)", argv[place - 1])
    return not argv[place].startswith("-") and not takes_one


def run_study(experiment: Experiment, workdir: Path, arguments: list[str], argv: list[str]) -> None:
    """Train and measure what is missing, write the table and the picture, and print the table.

    Args:
      experiment: the first.
      workdir: in which each has its own.
      arguments: the configs of the others.
      argv: the command line: what it changes of the first one's config is changed in the others, too.
    """
    base, _ = take_config(argv)
    changed = find_changes(from_dict(load_config(base)).to_dict(), experiment.to_dict()) if base else {}
    experiments = {experiment.name: experiment}
    for argument in arguments:
        other = from_dict(change(from_dict(load_config(find_config(argument))).to_dict(), changed))
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


def find_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ, but for the name, as they are after."""
    return {
        name: find_changes(before[name], value) if isinstance(value, dict) else value
        for name, value in after.items()
        if value != before[name] and name != "name"
    }


def change(settings: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of which some are changed."""
    return {
        name: change(value, changed.get(name, {})) if isinstance(value, dict) else changed.get(name, value)
        for name, value in settings.items()
    }


def share_trunk(other: Experiment, first: Experiment, workdir: Path) -> Experiment:
    """Return an experiment that starts from the trunk that the first one trains, where it would train the same."""
    alike = ("backbone", "data", "seed", "weights", "replace_classifier", "classes")
    differ = [name for name in alike if getattr(other, name) != getattr(first, name)]
    differ += ["model.name"] if other.model.name != first.model.name else []
    if differ:
        log.warning(
            "%s has a trunk of its own: its %s are not those of %s.", other.name, " and ".join(differ), first.name
        )
    if differ or not other.backbone.epochs:
        return other
    return dataclasses.replace(
        other,
        weights=str(checkpoint_directory(workdir, BACKBONE)),
        backbone=dataclasses.replace(other.backbone, epochs=0),
        replace_classifier=False,
    )


def finish(experiment: Experiment, workdir: Path) -> Path | None:
    """Train and measure an experiment, but for what is done, and return its `report.json`, in the first process."""
    report = find_finished(workdir, experiment)
    if report is not None:
        log.info("%s is done: %s", experiment.name, report)
        return report
    if experiment.backbone.epochs or last_stage(experiment) != BACKBONE:
        train(experiment, workdir)
    report = evaluate_network(experiment, workdir, dry_run=False)
    if report is not None:
        mark_finished(workdir, experiment, report)
    return report
