"""The report: the means of the per-image rows, with everything needed to read them, as JSON, Markdown and text."""

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from castream_jax.evaluation.names import METRICS, Metric, name_attribution, name_pooling, order_pairs
from castream_jax.evaluation.rows import count_images, flat_counts, summarise
from castream_jax.metrics.protocol import Protocol
from castream_jax.replacement import replacing
from castream_jax.version import VERSION

ABSENT = "—"
"""What a table shows where a value does not exist."""


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

    Raises:
      ValueError: rows of different attributions or poolings cover different numbers of images.
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
        "flat_maps": flat_counts(rows),
        "protocol_choices": asdict(protocol),
        "details": dict(details or {}),
        "versions": collect_versions(),
        "seconds": seconds,
    }
    return report


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def collect_versions() -> dict[str, str]:
    """Return the versions of what computed the numbers."""
    packages = ("jax", "jaxlib", "flax", "numpy")
    return {
        "castream_jax": VERSION,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def write_report(report: Mapping[str, Any], directory: str | Path) -> None:
    """Write `report.json` and `report.md`; each appears all at once."""
    files = {
        "report.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render_markdown(report),
    }
    for name, text in files.items():
        with replacing(Path(directory) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Cell:
    """One number of the table as it is shown."""

    text: str
    is_better: bool
    """Of two or more poolings, this one has the best value as shown."""


def tabulate(report: Mapping[str, Any]) -> dict[str, dict[str, list[Cell]]]:
    """Return the table as {attribution: {pooling: a cell for each metric}}, in names for people."""
    lines = {(line["attribution"], line["pooling"]): line for line in report["rows"]}
    table: dict[str, dict[str, list[Cell]]] = {}
    for attribution, poolings in order_pairs(list(lines)).items():
        block = [lines[attribution, pooling] for pooling in poolings]
        best = {metric.symbol: _find_best(metric, block) for metric in METRICS}
        table[name_attribution(attribution)] = {
            name_pooling(line["pooling"]): [_cell(line[symbol], best[symbol]) for symbol in best] for line in block
        }
    return table


def _find_best(metric: Metric, lines: list[dict[str, Any]]) -> float | None:
    """Return the best value of a metric as shown, or None if there is nothing to compare."""
    shown = [round(line[metric.symbol], 2) for line in lines if line[metric.symbol] is not None]
    if len(shown) < 2:
        return None
    return min(shown) if metric.lower_is_better else max(shown)


def _cell(value: float | None, best: float | None) -> Cell:
    return Cell(format_percent(value), value is not None and round(value, 2) == best)


def format_percent(value: float | None) -> str:
    """Return a percentage as every table shows it."""
    return ABSENT if value is None else f"{value:.2f}"


def describe_source(report: Mapping[str, Any]) -> str:
    """Return what the numbers are of: network, data, number of images, protocol and hash."""
    protocol = report["protocol"]
    images = "image" if report["num_images"] == 1 else "images"
    return (
        f"{report['network']} on {report['dataset']} ({report['split']}), {report['num_images']:,} {images}, "
        f"protocol {protocol['name']} (hash {protocol['hash']})"
    )


def describe_accuracies(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, percent) of each accuracy, the dash where there is none."""
    accuracies = [(name_pooling(pooling), report["accuracy"].get(pooling)) for pooling in ("gap", "ca")]
    untrained = report.get("untrained_accuracy", {})
    accuracies += [(f"{name_pooling(pooling)}, stream untrained", value) for pooling, value in untrained.items()]
    return [(name, format_percent(value)) for name, value in accuracies]


def describe_flat_maps(report: Mapping[str, Any]) -> str:
    """Return a sentence on the maps that were constant."""
    found = []
    for pair, count in report["flat_maps"].items():
        attribution, pooling = pair.split("/")
        if count:
            found.append(f"{name_attribution(attribution)} {name_pooling(pooling)} {count:,}")
    return f"Flat maps (constant, counted as zeros): {', '.join(found) or 'none'}."


def _notes(report: Mapping[str, Any]) -> list[str]:
    """Return the lines under the table of Markdown and text."""
    accuracies = "; ".join(f"{name} {value}" for name, value in describe_accuracies(report))
    number = report.get("accuracy_num_images")
    return [f"Accuracy (%{f', {number:,} images' if number else ''}): {accuracies}.", describe_flat_maps(report)]


def render_markdown(report: Mapping[str, Any]) -> str:
    """Return the report in Markdown: the paper's table, with the better pooling of each pair in bold."""
    headings = ["attribution", "pooling", *(metric.heading for metric in METRICS)]
    lines = [
        f"{describe_source(report)}. In percent; the better of GAP and CA in bold.",
        "",
        f"| {' | '.join(headings)} |",
        f"|---|---|{'--:|' * len(METRICS)}",
    ]
    for attribution, poolings in tabulate(report).items():
        for i, (pooling, cells) in enumerate(poolings.items()):
            numbers = [f"**{cell.text}**" if cell.is_better else cell.text for cell in cells]
            lines.append(f"| {' | '.join([attribution if i == 0 else '', pooling, *numbers])} |")
    for note in _notes(report):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def render_terminal(report: Mapping[str, Any]) -> str:
    """Return the report as aligned plain text; a star marks the better pooling of each pair."""
    lines = [["attribution", "pooling", *(metric.heading + " " for metric in METRICS)]]
    for attribution, poolings in tabulate(report).items():
        for i, (pooling, cells) in enumerate(poolings.items()):
            numbers = [cell.text + ("*" if cell.is_better else " ") for cell in cells]
            lines.append([attribution if i == 0 else "", pooling, *numbers])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = []
    for line in lines:
        texts = [text.ljust(width) for text, width in zip(line[:2], widths[:2])]
        numbers = [text.rjust(width) for text, width in zip(line[2:], widths[2:])]
        table.append("  ".join(texts + numbers).rstrip())
    rule = "-" * max(map(len, table))
    source = f"{describe_source(report)}. In percent; * is the better of GAP and CA."
    return "\n".join([source, "", table[0], rule, *table[1:], rule, *_notes(report)])
