"""What a report holds: the means of the per-image rows, with everything needed to read them, ready for JSON."""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from castream_jax.evaluation.intervals import bootstrap_table
from castream_jax.evaluation.report.notes import SAVINGS
from castream_jax.evaluation.rows import count_images, count_localised, count_maps, summarise, summarise_pruning
from castream_jax.evaluation.statistics import LEVEL, RESAMPLES, SEED
from castream_jax.metrics.protocol import Protocol
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
    seconds: float,
    accuracy_num_images: int | None = None,
    untrained_accuracy: Mapping[str, float] | None = None,
    details: Mapping[str, str | int | float | bool] | None = None,
    passes: Mapping[str, int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Return the report of an evaluation, ready for JSON.

    Args:
      rows: per-image rows (`rows.ROWS`).
      protocol: the choices that the numbers depend on.
      network: the network's name.
      dataset: the dataset's name.
      split: the part of the dataset.
      accuracy: percent by pooling, "gap" and "ca"; a GAP-only network has no "ca".
      seconds: time that the evaluation took.
      accuracy_num_images: images that the accuracies are of.
      untrained_accuracy: percent by pooling before the stream was trained.
      details: anything else worth keeping with the numbers, such as the checkpoint, by name.
      passes: images sent through the network: "made", those of the plain computation "without_sharing", and those that
        each of `notes.SAVINGS` saved, every pass counted once.
      resamples, seed: of the bootstrap.

    Raises:
      ValueError: rows of different attributions or poolings cover different images, or the passes made and saved
        are not those of the plain computation.
    """
    report: dict[str, Any] = {
        "protocol": {"name": protocol.name, "hash": protocol.hash},
        "network": network,
        "dataset": dataset,
        "split": split,
        "num_images": count_images(rows),
        "accuracy": _finite(accuracy),
    }
    if accuracy_num_images is not None:
        report["accuracy_num_images"] = accuracy_num_images
    if untrained_accuracy:
        report["untrained_accuracy"] = _finite(untrained_accuracy)
    report |= {
        "rows": summarise(rows),
        "bootstrap": {"level": LEVEL, "resamples": resamples, "seed": seed},
        **bootstrap_table(rows, resamples, seed),
        "flat_maps": count_maps(rows, "flat"),
        "nan_maps": count_maps(rows, "nan"),
        "all_negative_maps": count_maps(rows, "all_negative"),
    }
    if localised := count_localised(rows):
        report["localised_images"] = localised
    if pruning := summarise_pruning(rows):
        report["score_cam_pruning"] = pruning
    if passes is not None:
        _check_passes(passes)
        report["passes"] = dict(passes)
    report |= {
        "protocol_choices": asdict(protocol),
        "details": dict(details or {}),
        "versions": collect_versions(LIBRARIES) | {"python": platform.python_version()},
        "seconds": seconds,
    }
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
