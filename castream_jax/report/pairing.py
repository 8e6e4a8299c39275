"""Two evaluations side by side: the same attributions, poolings and metrics, of the same images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from castream_jax.attribution import METHODS
from castream_jax.errors import InputError
from castream_jax.evaluation.row_images import number_images
from castream_jax.evaluation.rows import group_rows, measured, percentages, read_rows, without_curves
from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric
from castream_jax.metrics.protocol import Protocol
from castream_jax.report.schema import Provenance, read_provenance


@dataclass(frozen=True, eq=False)
class Written:
    """An evaluation as it was written."""

    path: Path
    """Of its rows."""
    rows: pa.Table
    report: Provenance


@dataclass(frozen=True, eq=False)
class Pairing:
    """What two evaluations share."""

    images: int
    owners: Int[np.ndarray, "n"] | None
    """The image of each row in common, where images have several (`row_images`)."""
    cells: dict[tuple[str, str], dict[Metric, tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]]]
    """By (attribution, pooling) and metric: the percentages of both, image by image; NaN where one of them has none."""
    unpaired: tuple[list[str], list[str]]
    """The "attribution/pooling" that only one of them has."""
    incomparable: list[str]
    """What both have, by other choices: metrics, and which of them against another truth; "attribution/pooling"."""


def load_evaluation(path: Path) -> Written:
    """Return the evaluation of a work directory, an evaluation directory, or a file of rows beside its report.

    Raises:
      InputError: there is none, or more than one, or its files cannot be read.
    """
    found = find_rows(path)
    if not found:
        raise InputError(f"{path} holds no rows.parquet of an evaluation: run evaluate.py first.")
    if len(found) > 1:
        raise InputError(f"{path} holds several evaluations: name one of {', '.join(str(f.parent) for f in found)}.")
    provenance = read_provenance(found[0].parent / "report.json")
    return Written(found[0], read_rows(found[0]), provenance)


def find_rows(path: Path) -> list[Path]:
    """Return the files of rows that a path means."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"there is no {path}: expected a work directory, an evaluation directory, or its rows.")
    here = path / "rows.parquet"
    return [here] if here.is_file() else sorted(path.glob("evaluation/*/rows.parquet"))


def pair_evaluations(a: Written, b: Written) -> Pairing:
    """Match cells by attribution, pooling and metric, and images by id.

    Raises:
      InputError: no metric was measured by the same choices, the images' sizes differ, an id stands for two images, or
        nothing is in common.
    """
    sizes = [written.report["settings"]["image_size"] for written in (a, b)]
    if sizes[0] != sizes[1]:
        raise InputError(f"images are of {sizes[0]} and {sizes[1]} pixels: numbers compare only at one size.")
    groups = [group_rows(without_curves(written.rows)) for written in (a, b)]
    hashes = [method_hashes(written.report) for written in (a, b)]
    shared = [pair for pair in groups[0] if pair in groups[1] and hashes[0].get(pair[0]) == hashes[1].get(pair[0])]
    if not shared:
        raise InputError(f"{a.path} and {b.path} have no attribution and pooling in common.")
    metrics = shared_metrics(a, b)
    places = [[find_places(group[pair], w.path) for pair in shared] for group, w in zip(groups, (a, b))]
    common = sorted(set.intersection(*(set(found) for side in places for found in side)))
    if not common:
        raise InputError(f"{a.path} and {b.path} have no image in common: no id is in both.")
    cells, owners = {}, None
    for i, pair in enumerate(shared):
        ours, theirs = (group[pair].take([side[i][name] for name in common]) for group, side in zip(groups, places))
        if not ours["label"].equals(theirs["label"]):
            raise InputError(f"{a.path} and {b.path} have other labels for the same ids: these are two datasets.")
        owners = number_images(ours)
        cells[pair] = {metric: _pair_values(ours, theirs, metric) for metric in metrics}
    only = [["/".join(pair) for pair in ours if pair not in theirs] for ours, theirs in (groups, groups[::-1])]
    both = [metric for metric in measured(a.rows) if metric in measured(b.rows)]
    reason = "" if have_one_truth(a, b) else " (another truth)"
    incomparable = [metric.symbol + reason * metric.needs_truth for metric in both if metric not in metrics]
    incomparable += ["/".join(pair) for pair in groups[0] if pair in groups[1] and pair not in shared]
    images = len(common) if owners is None else int(owners.max()) + 1
    return Pairing(images, owners, cells, (only[0], only[1]), incomparable)


def shared_metrics(a: Written, b: Written) -> list[Metric]:
    """Return the metrics that two evaluations measured by the same choices.

    Raises:
      InputError: there are none.
    """
    hashes = [metric_hashes(written.report) for written in (a, b)]
    held = [metric for metric in measured(a.rows) if metric in measured(b.rows)]
    if not held:
        raise InputError(f"{a.path} and {b.path} have no metric in common.")
    same = [metric for metric in held if hashes[0].get(metric.symbol) == hashes[1].get(metric.symbol)]
    shared = [metric for metric in same if have_one_truth(a, b) or not metric.needs_truth]
    if same and not shared:
        named = " and ".join(written.report["settings"]["truth"] for written in (a, b))
        raise InputError(f"objects are where {named} say, and no other metric is in both: they compare by one truth.")
    if not shared:
        protocols = [written.report["protocol"] for written in (a, b)]
        named = " and ".join(f"{protocol['name']} (hash {protocol['hash']})" for protocol in protocols)
        raise InputError(
            f"the protocols differ, {named}: no metric was measured by the same choices, and numbers compare only then."
        )
    return shared


def have_one_truth(a: Written, b: Written) -> bool:
    """Return whether two evaluations were told in one way where objects are; reports of before did not say."""
    truths = {written.report["settings"].get("truth") for written in (a, b)} - {None}
    return len(truths) < 2


def metric_hashes(report: Provenance) -> dict[str, str]:
    """Return the hash of each metric's choices by symbol; of a report from before they were kept, by its choices."""
    if "metrics" in report:
        return {metric["symbol"]: metric["hash"] for metric in report["metrics"]}
    protocol = Protocol(**report["protocol_choices"])
    return {symbol: metric.hash(protocol) for symbol, metric in METRICS.items()}


def method_hashes(report: Provenance) -> dict[str, str]:
    """Return the hash of each method by key; of a report from before they were kept, those of this version."""
    if "methods" in report:
        return {method["key"]: method["hash"] for method in report["methods"]}
    return {key: method.hash for key, method in METHODS.items()}


def find_places(rows: pa.Table, path: Path) -> dict[str, int]:
    """Return the place of each id in the rows of one attribution and pooling."""
    ids = rows["id"].to_pylist()
    places = {name: place for place, name in enumerate(ids)}
    if len(places) < len(ids):
        raise InputError(f"{path} has several rows of one image, attribution and pooling: ids must be unique.")
    return places


def _pair_values(
    ours: pa.Table, theirs: pa.Table, metric: Metric
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    a, b = percentages(ours, metric), percentages(theirs, metric)
    absent = np.isnan(a) | np.isnan(b)
    return np.where(absent, np.nan, a), np.where(absent, np.nan, b)
