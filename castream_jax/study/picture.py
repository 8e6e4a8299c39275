"""The picture of a study: accuracy against each metric, a disc for each pooling, as large as it has parameters."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from castream_jax.drawing.grid import thin_frame
from castream_jax.drawing.palette import STROKES, place_strokes
from castream_jax.drawing.sheet import PAGE_WIDTH, SMALL, STAMP, Sheet
from castream_jax.study.results import Result
from castream_jax.study.table import list_attributions, list_metrics
from castream_jax.wording import FIRST_POOLING, name_attribution

MOST = 5
"""Metrics beside each other: those of the paper's table come first."""
PANEL, GAP_BETWEEN, LEFT, TOP = 1.02, 0.28, 0.62, 0.3
MARGIN = 0.15
"""On each side of a panel, in what it shows."""
KEY = "across: accuracy in percent; discs: parameters that are trained; hollow: outside of the panel"


def draw_study(results: Sequence[Result], path: str | Path) -> None:
    """Draw a study as a PNG: a row for each map, a column for each metric, discs numbered as in the list below."""
    attributions, metrics, colours = list_attributions(results), list_metrics(results)[:MOST], find_colours(results)
    lines = -(-len(results) // 2)  # of the list, in two columns
    height = TOP + len(attributions) * (PANEL + GAP_BETWEEN) + 0.3 + 0.16 * lines
    sheet = Sheet(PAGE_WIDTH, height)
    for row, attribution in enumerate(attributions):
        top = TOP + row * (PANEL + GAP_BETWEEN)
        sheet.write(0.08, top + PANEL / 2, name_attribution(attribution), rotation=90, va="center", weight="bold")
        for column, metric in enumerate(metrics):
            axes = sheet.axes(LEFT + column * (PANEL + GAP_BETWEEN), top, PANEL, PANEL)
            discs = [
                Disc(number, result.accuracy, value, size_of(result.parameters), colours[number - 1])
                for number, result in enumerate(results, 1)
                if (value := result.means.get(attribution, {}).get(metric.symbol)) is not None
                and result.accuracy is not None
            ]
            draw_panel(axes, discs)
            if row == 0:
                axes.set_title(f"{metric.symbol} {metric.arrow}", fontsize=SMALL, pad=3)
    bottom = TOP + len(attributions) * (PANEL + GAP_BETWEEN)
    sheet.write(LEFT, bottom, KEY, fontsize=SMALL)
    for number, result in enumerate(results):
        text = f"{number + 1}  {result.title}, {result.parameters:,} parameters"
        left, top = LEFT + 3.2 * (number // lines), bottom + 0.2 + 0.16 * (number % lines)
        sheet.write(left, top, text, fontsize=SMALL, color=colours[number])
    sheet.save(path)


class Disc(NamedTuple):
    """A pooling in a panel."""

    number: int
    accuracy: float
    value: float
    size: float
    colour: str


def draw_panel(axes: Axes, discs: Sequence[Disc]) -> None:
    """Draw accuracy against a metric; what is far from all others stands at the edge, hollow."""
    left, right = find_range([disc.accuracy for disc in discs])
    bottom, top = find_range([disc.value for disc in discs])
    for number, accuracy, value, size, colour in discs:
        x, y = min(max(accuracy, left), right), min(max(value, bottom), top)
        inside = (x, y) == (accuracy, value)
        axes.scatter([x], [y], s=size, facecolors=colour if inside else "white", edgecolors=colour, alpha=0.75)
        shade = "white" if inside else colour
        axes.annotate(str(number), (x, y), fontsize=STAMP, ha="center", va="center", color=shade)
    axes.set_xlim(left - MARGIN * (right - left), right + MARGIN * (right - left))
    axes.set_ylim(bottom - MARGIN * (top - bottom), top + MARGIN * (top - bottom))
    axes.tick_params(labelsize=STAMP, length=2, width=0.5, pad=2)
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    thin_frame(axes)


def find_range(values: Sequence[float]) -> tuple[float, float]:
    """Return what a panel shows of some values: without those far from the others, where these would lie on one spot.

    Far is 1.5 interquartile ranges beyond the quartiles (Tukey, 1977); left out if the rest takes less than half of the
    whole range.
    """
    if not values:
        return 0.0, 1.0
    low, high = np.percentile(values, [25, 75])
    near = [value for value in values if low - 1.5 * (high - low) <= value <= high + 1.5 * (high - low)]
    if len(near) > 1 and 0 < 2 * (max(near) - min(near)) < max(values) - min(values):
        least, most = min(near), max(near)
    else:
        least, most = min(values), max(values)
    return (least, most) if most > least else (least - 1, most + 1)


def size_of(parameters: int) -> float:
    """Return the area of a disc: it grows by the logarithm, as poolings have none to millions."""
    return 30 + 25 * math.log10(1 + parameters)


def find_colours(results: Sequence[Result]) -> list[str]:
    """Return the colour of each result; poolings have those that reports give them."""
    places = place_strokes([result.title if result.pooling != FIRST_POOLING else FIRST_POOLING for result in results])
    return [STROKES[place].light for place in places.values()]
