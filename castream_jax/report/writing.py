"""Everything an evaluation leaves on disk, under `<workdir>/evaluation/<protocol>/`."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from castream_jax.config import Experiment
from castream_jax.drawing.grid import draw_grid
from castream_jax.evaluation.rows import write_rows
from castream_jax.evaluation.runner import Evaluation, evaluation_directory
from castream_jax.report.content import build_report
from castream_jax.report.curves_png import draw_curves
from castream_jax.report.html import render_html
from castream_jax.report.schema import Pictures, Report
from castream_jax.report.selection import select_images
from castream_jax.report.text import write_report
from castream_jax.storage.locking import alone_in
from castream_jax.storage.replacement import replacing
from castream_jax.wording import list_poolings


def write_evaluation(evaluation: Evaluation, experiment: Experiment, workdir: Path) -> tuple[Report, Path]:
    """Explain what is worth looking at, write rows, figures and the report in all its forms, and return the report and
    the directory.

    Files: `rows.parquet`, `figures/grid.png`, `figures/curves.png`, `report.json`, `report.md`, `report.html`.
    """
    start = time.monotonic()
    directory, count = evaluation_directory(workdir, evaluation.protocol), experiment.evaluation.num_figures
    with alone_in(directory, "evaluating", wait=True):
        selection = select_images(evaluation, count)
        report = build_report(
            evaluation.rows,
            protocol=evaluation.protocol,
            network=experiment.model.name,
            dataset=experiment.data.name,
            split=experiment.evaluation.split,
            accuracy=to_percent(evaluation.accuracy.trained),
            accuracy_num_images=evaluation.accuracy.images,
            untrained_accuracy=to_percent(evaluation.accuracy.untrained),
            top5_accuracy=to_percent(evaluation.accuracy.top5),
            are_precisions=evaluation.accuracy.scored is not None,
            settings=evaluation.settings,
            pictures=describe_pictures(evaluation, experiment),
            seconds=evaluation.seconds + time.monotonic() - start,
            passes=evaluation.cost.report(),
            class_names=evaluation.class_names,
            warnings=evaluation.warnings,
        )
        figures, grid, curves = [], directory / "figures" / "grid.png", directory / "figures" / "curves.png"
        for file in (grid, curves):
            file.unlink(missing_ok=True)  # of other rows; these may have none
        write_rows(evaluation.rows, directory / "rows.parquet")
        if first := [i for i, place in enumerate(selection.places) if place < count]:
            draw_grid(selection.heat_maps, grid, first)
            figures.append((caption_grid(list_poolings(selection.heat_maps.maps)), grid))
        draw_curves(evaluation.rows, curves)
        write_report(report, directory)
        with replacing(directory / "report.html") as path:
            path.write_text(render_html(report, evaluation.rows, figures, selection), encoding="utf-8")
        shutil.rmtree(evaluation.parts, ignore_errors=True)
    return report, directory


def caption_grid(poolings: Sequence[str]) -> str:
    """Return what stands below the grid."""
    few = len(poolings) <= 2
    return f"Raw attention and each attribution, for {'GAP and CA' if few else 'every pooling'}."


def list_files(directory: Path) -> tuple[Path, ...]:
    """Return what `write_evaluation` left in a directory: figures, the report in its forms, rows."""
    names = ("figures/grid.png", "figures/curves.png", "report.html", "report.json", "report.md", "rows.parquet")
    return tuple(directory / name for name in names if (directory / name).is_file())


def describe_pictures(evaluation: Evaluation, experiment: Experiment) -> Pictures:
    """Return for the report what was met in the pictures of the rows and of the accuracies, and what was done."""
    data = experiment.data
    return {
        "measured": asdict(evaluation.pictures),
        "accuracy": asdict(evaluation.accuracy.pictures),
        "decoding": {"orientation": data.orientation, "transparency": data.transparency},
    }


def to_percent(fractions: dict[str, float]) -> dict[str, float]:
    """Return fractions in percent."""
    return {name: 100 * value for name, value in fractions.items()}
