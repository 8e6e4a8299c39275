"""Whether an experiment of a study is done, so that a study that is run again does what is missing."""

import hashlib
import json
from pathlib import Path
from typing import Any

from castream_jax.config import Experiment
from castream_jax.data.source import open_split
from castream_jax.experiment.own_code import digest_own_code
from castream_jax.storage.replacement import replacing

NAME = "study.json"


def describe(experiment: Experiment) -> dict[str, Any]:
    """Return what the results of an experiment depend on: its settings, the pictures, the user's own code."""
    splits = (experiment.data.train_split, experiment.evaluation.split)
    said: dict[str, Any] = {
        "experiment": experiment.to_dict(),
        "data": {split: open_split(experiment.data, split).digest() for split in splits},
        "code": digest_own_code(experiment),
    }
    whole: dict[str, Any] = json.loads(json.dumps(said))
    return whole


def mark_finished(workdir: Path, experiment: Experiment, report: Path) -> None:
    """Say in a work directory which experiment it holds, trained and measured, and where its report is."""
    said = {
        **describe(experiment),
        "report": str(report.relative_to(workdir)),
        "sha256": hashlib.sha256(report.read_bytes()).hexdigest(),
    }
    with replacing(workdir / NAME) as path:
        path.write_text(json.dumps(said, indent=2) + "\n")


def find_finished(workdir: Path, experiment: Experiment) -> Path | None:
    """Return the report of an experiment that is done as it is asked for now; else None.

    A report that was written over since, by an evaluation of other pictures, is not the study's.
    """
    try:
        said = json.loads((workdir / NAME).read_text())
        report = workdir / said["report"]
        same = said["sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if same and said.items() >= describe(experiment).items() else None
