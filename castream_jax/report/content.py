"""What a report holds: the means of the per-image rows, with everything needed to read them, ready for JSON."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

import pyarrow as pa

from castream_jax.attribution import METHODS
from castream_jax.evaluation.row_images import count_pictures_of, number_images
from castream_jax.evaluation.rows import (
    collect_remarks,
    count_images,
    count_localised,
    count_maps,
    count_undefined,
    find_records,
    measured,
    summarise,
    to_facts,
)
from castream_jax.metrics.protocol import Protocol
from castream_jax.report.agreement import measure_agreement
from castream_jax.report.doubts import doubt
from castream_jax.report.intervals import bootstrap_table, choose_resamples
from castream_jax.report.notes import SAVINGS
from castream_jax.report.schema import Pictures, Report
from castream_jax.report.statistics import LEVEL, SEED
from castream_jax.version import collect_versions

LIBRARIES = ("jax", "jaxlib", "flax", "numpy")


def build_report(
    rows: pa.Table,
    *,
    protocol: Protocol,
    network: str,
    dataset: str,
    split: str,
    accuracy: Mapping[str, float],
    accuracy_num_images: int,
    untrained_accuracy: Mapping[str, float],
    settings: Mapping[str, str | int | float],
    pictures: Pictures | None = None,
    passes: Mapping[str, int],
    seconds: float,
    class_names: Sequence[str] = (),
    warnings: Sequence[str] = (),
    top5_accuracy: Mapping[str, float] = MappingProxyType({}),
    are_precisions: bool = False,
    resamples: int | None = None,
    seed: int = SEED,
) -> Report:
    """Return the report of an evaluation, ready for JSON.

    Args:
      rows: per-image rows (`rows.rows_schema`).
      protocol: the choices that the numbers depend on.
      network: the network's name.
      dataset: the dataset's name.
      split: the part of the dataset.
      accuracy: percent by pooling; of pictures of several labels, `are_precisions`, mean average precisions.
      accuracy_num_images: images that the accuracies are of.
      untrained_accuracy: percent by pooling, of those that are trained, before training; empty for a GAP-only network.
      settings: what else the numbers depend on, by name, such as the images' size.
      pictures: how many were "oriented" and "transparent" of those "measured" and those of the "accuracy", and how they
        were decoded ("decoding"); None: not known.
      passes: images sent through the network: "made", those of the plain computation "without_sharing", and those that
        each of `notes.SAVINGS` saved, every pass counted once.
      seconds: time that the evaluation took.
      class_names: by label.
      warnings: what makes the numbers doubtful, in sentences; what the rows tell of that is added (`doubts`).
      top5_accuracy: percent by pooling that is right among five classes; empty where nobody counted.
      resamples, seed: of the bootstrap; None: as many as the differences need (`intervals.choose_resamples`).

    Raises:
      ValueError: rows of different attributions or poolings cover different images, or the passes made and saved
        are not those of the plain computation.
    """
    _check_passes(passes)
    explained = dict.fromkeys(rows["attribution"].to_pylist())
    known = METHODS | {method.key: method for method in find_records(rows.schema)[1]}  # with the options of these rows
    resamples = choose_resamples(rows) if resamples is None else resamples
    intervals = bootstrap_table(rows, resamples, seed)
    report: Report = {
        "protocol": {"name": protocol.name, "hash": protocol.hash},
        "network": network,
        "dataset": dataset,
        "split": split,
        "num_images": count_pictures_of(rows, count_images(rows)),
        "accuracy": {} if are_precisions else _finite(accuracy),
        "accuracy_num_images": accuracy_num_images,
        "rows": summarise(rows),
        "bootstrap": {"level": LEVEL, "resamples": resamples, "seed": seed},
        "intervals": intervals["intervals"],
        "differences": intervals["differences"],
        "flat_maps": count_maps(rows, "flat"),
        "nan_maps": count_maps(rows, "nan"),
        "all_negative_maps": count_maps(rows, "all_negative"),
        "metrics": [to_facts(metric) | {"hash": metric.hash(protocol)} for metric in measured(rows)],
        "methods": [to_facts(known[key]) | {"hash": known[key].hash} for key in explained if key in known],
        "passes": dict(passes),
        "protocol_choices": asdict(protocol),
        "settings": dict(settings),
        "versions": collect_versions(LIBRARIES) | {"python": platform.python_version()},
        "seconds": seconds,
        "class_names": list(class_names),
    }
    if agreement := measure_agreement(rows):
        report["agreement"] = agreement
    if said := [*warnings, *doubt(rows)]:
        report["warnings"] = said
    if number_images(rows) is not None:
        report["num_explained"] = count_images(rows)
    if are_precisions:
        report["mean_average_precision"] = _finite(accuracy)
        report["untrained_mean_average_precision"] = _finite(untrained_accuracy)
    elif untrained_accuracy:
        report["untrained_accuracy"] = _finite(untrained_accuracy)
    if top5_accuracy:
        report["top5_accuracy"] = _finite(top5_accuracy)
    if pictures:
        report["pictures"] = pictures
    if localised := count_localised(rows):
        report["localised_images"] = localised
    if undefined := count_undefined(rows):
        report["undefined"] = undefined
    if remarks := collect_remarks(rows):
        report["remarks"] = remarks
    return report


def _check_passes(passes: Mapping[str, int]) -> None:
    """Raise `ValueError` unless passes made and saved add up to those of the plain computation."""
    expected = {"made", "without_sharing", *SAVINGS}
    if not {"made", "without_sharing"} <= passes.keys() <= expected:
        raise ValueError(f"passes have the keys {sorted(passes)}: expected made, without_sharing, and of {[*SAVINGS]}.")
    accounted = sum(number for name, number in passes.items() if name != "without_sharing")
    if accounted != passes["without_sharing"]:
        raise ValueError(f"passes made and saved are {accounted}, without sharing {passes['without_sharing']}.")


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
