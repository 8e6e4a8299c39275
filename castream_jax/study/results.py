"""What a study found of each pooling, read from the reports of its experiments."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from castream_jax.config import Experiment
from castream_jax.experiment.loading import checkpoint_directory, last_stage
from castream_jax.metrics import METRICS
from castream_jax.poolings.choosing import choose_poolings
from castream_jax.report.schema import Report
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.training.optimizer import TRAINED, label_params
from castream_jax.wording import FIRST_POOLING, is_null, name_pooling


@dataclass(frozen=True)
class Result:
    """One pooling of one experiment."""

    experiment: str
    """Its name; empty where the study has but one."""
    pooling: str
    """As rows name it."""
    parameters: int
    """That it trains."""
    accuracy: float | None
    """In percent; of pictures of several labels the mean average precision."""
    means: Mapping[str, Mapping[str, float | None]]
    """By attribution and symbol; in percent."""
    differences: Mapping[str, Mapping[str, Any]]
    """From GAP, by attribution and symbol, each a `schema.Difference`; of GAP itself none."""

    @property
    def title(self) -> str:
        """What people call it."""
        name = name_pooling(self.pooling)
        return f"{self.experiment}: {name}" if self.experiment else name


def read_results(experiments: Mapping[str, tuple[Experiment, Path, Path]]) -> list[Result]:
    """Return the results of a study; GAP once for all experiments in which it is the same network, measured alike.

    Args:
      experiments: by name, each with its work directory and its `report.json`.
    """
    found: list[Result] = []
    for name, (experiment, workdir, file) in experiments.items():
        report: Report = json.loads(file.read_text(encoding="utf-8"))
        parameters, accuracy = count_parameters(experiment, workdir), report.get("mean_average_precision")
        accuracy = report["accuracy"] if accuracy is None else accuracy
        for pooling in dict.fromkeys(line["pooling"] for line in report["rows"]):
            lines = [line for line in report["rows"] if line["pooling"] == pooling and not is_null(line["attribution"])]
            apart = [line for line in report["differences"] if line["pooling"] == pooling]
            result = Result(
                name if len(experiments) > 1 and (pooling != FIRST_POOLING or found) else "",
                pooling,
                parameters.get(pooling, 0),
                accuracy.get(pooling),
                {line["attribution"]: {key: line[key] for key in line if key in METRICS} for line in lines},
                {line["attribution"]: {key: line[key] for key in line if key in METRICS} for line in apart},
            )
            if pooling != FIRST_POOLING or not any(is_same(result, other) for other in found):
                found.append(result)
    return found


def is_same(result: Result, other: Result) -> bool:
    """Return whether two results are of one pooling under the same maps, and equal to what rounding leaves."""
    if result.pooling != other.pooling or result.means.keys() != other.means.keys():
        return False
    pairs = [(result.accuracy, other.accuracy)]
    pairs += [
        (own.get(symbol), others.get(symbol))
        for own, others in zip(result.means.values(), other.means.values(), strict=True)
        for symbol in {*own, *others}
    ]
    return all(a == b or (a is not None and b is not None and math.isclose(a, b, abs_tol=1e-3)) for a, b in pairs)


def count_parameters(experiment: Experiment, workdir: Path) -> dict[str, int]:
    """Return how many numbers each pooling of a trained network has that were trained, from its checkpoint."""
    directory = checkpoint_directory(workdir, last_stage(experiment))
    if not directory.is_dir():
        return {}
    with Checkpoints(directory) as checkpoints:
        arrays = checkpoints.describe("model") or {}
    found = {}
    for choice in choose_poolings(experiment.model.pooling):
        own = {path: array for path, array in arrays.items() if choice.trains and choice.part == path.split(".")[0]}
        if experiment.stream.keep_last_projection:
            labels = label_params(own)
            own = {path: array for path, array in own.items() if labels[path] == TRAINED}
        found[choice.text] = sum(int(np.prod(array.shape)) for array in own.values())
    return found
