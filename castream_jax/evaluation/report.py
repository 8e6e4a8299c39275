"""The report: the means of the per-image rows, with everything needed to read them, as JSON, Markdown and text."""

import json
import math
import platform
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from castream_jax.evaluation.intervals import bootstrap_table
from castream_jax.evaluation.notes import SAVINGS, describe_all, describe_source
from castream_jax.evaluation.rows import count_images, count_localised, count_maps, summarise, summarise_pruning
from castream_jax.evaluation.statistics import LEVEL, RESAMPLES, SEED
from castream_jax.evaluation.tables import Section, tabulate
from castream_jax.metrics.protocol import Protocol
from castream_jax.replacement import replacing
from castream_jax.version import collect_versions

LIBRARIES = ("jax", "jaxlib", "flax", "numpy")

WIDTH = 120
"""Columns of a terminal."""


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


def write_report(report: Mapping[str, Any], directory: str | Path) -> None:
    """Write `report.json` and `report.md`; each appears all at once."""
    files = {
        "report.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render_markdown(report),
    }
    for name, text in files.items():
        with replacing(Path(directory) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def render_markdown(report: Mapping[str, Any]) -> str:
    """Return the report in Markdown: the paper's table with intervals, what stands out in bold."""
    lines = [f"{describe_source(report)}."]
    for table in tabulate(report):
        lines += ["", f"### {table.title}"]
        headings = ["attribution", "pooling", *(metric.heading for metric in table.metrics)]
        for section in table.sections:
            lines += ["", section.title + (f" Bold: {section.meaning}." if section.meaning else ""), ""]
            lines += [f"| {' | '.join(headings)} |", f"|---|---|{'--:|' * len(table.metrics)}"]
            for attribution, pooling, cells in section.lines:
                texts = [f"**{cell.text}**" if cell.is_marked else cell.text for cell in cells]
                numbers = [f"{text} {cell.interval}".strip() for text, cell in zip(texts, cells)]
                lines.append(f"| {' | '.join([attribution, pooling, *numbers])} |")
    for note in describe_all(report):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def render_terminal(report: Mapping[str, Any]) -> str:
    """Return the report as aligned plain text: below each number its interval, a star at what stands out."""
    texts = [f"{describe_source(report)}.", "In percent; below each mean its 95 % interval."]
    for table in tabulate(report):
        heading = ["attribution", "pooling", *(f"{metric.heading} " for metric in table.metrics)]
        sections = {s.title + (f" *: {s.meaning}." if s.meaning else ""): _lay_out(s) for s in table.sections}
        lines = [heading, *(line for section in sections.values() for line in section)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        texts += ["", _align(heading, widths)]
        for title, section in sections.items():
            texts += [rule, title, "", *(_align(line, widths) for line in section)]
        texts.append(rule)
    notes = (textwrap.wrap(note, WIDTH, subsequent_indent="  ") for note in describe_all(report))
    return "\n".join([*texts, *(line for note in notes for line in note)])


def _lay_out(section: Section) -> list[list[str]]:
    """Return the lines of plain text of a section, cell by cell: a line of numbers, and one of intervals if any."""
    lines = []
    for attribution, pooling, cells in section.lines:
        lines.append([attribution, pooling, *(cell.text + ("*" if cell.is_marked else " ") for cell in cells)])
        if any(cell.interval for cell in cells):
            lines.append(["", "", *(cell.interval for cell in cells)])
    return lines


def _align(line: list[str], widths: list[int]) -> str:
    """Return a line of plain text: names to the left, numbers to the right."""
    names = [text.ljust(width) for text, width in zip(line[:2], widths[:2])]
    numbers = [text.rjust(width) for text, width in zip(line[2:], widths[2:])]
    return "  ".join(names + numbers).rstrip()
