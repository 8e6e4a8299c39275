"""The picture of a study: accuracy against each metric, a disc for each pooling, as large as it has parameters."""

import math
from collections.abc import Sequence
from pathlib import Path

from castream_jax.drawing.grid import thin_frame
from castream_jax.drawing.palette import STROKES, place_strokes
from castream_jax.drawing.sheet import PAGE_WIDTH, SMALL, STAMP, Sheet
from castream_jax.study.results import Result
from castream_jax.study.table import list_attributions, list_metrics
from castream_jax.wording import FIRST_POOLING, name_attribution

MOST = 5
"""Metrics beside each other: those of the paper's table come first."""
PANEL, GAP_BETWEEN, LEFT, TOP = 1.02, 0.28, 0.62, 0.3


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
            for number, result in enumerate(results):
                value = result.means.get(attribution, {}).get(metric.symbol)
                if value is None or result.accuracy is None:
                    continue
                place, colour = ([result.accuracy], [value]), colours[number]
                axes.scatter(*place, s=size_of(result.parameters), color=colour, alpha=0.75, linewidths=0)
                axes.annotate(
                    str(number + 1), (result.accuracy, value), fontsize=STAMP, ha="center", va="center", color="white"
                )
            axes.tick_params(labelsize=STAMP, length=2, width=0.5, pad=2)
            axes.margins(0.2)
            axes.grid(color="#dddddd", linewidth=0.5)
            axes.set_axisbelow(True)
            thin_frame(axes)
            if row == 0:
                axes.set_title(f"{metric.symbol} {metric.arrow}", fontsize=SMALL, pad=3)
    bottom = TOP + len(attributions) * (PANEL + GAP_BETWEEN)
    sheet.write(LEFT, bottom, "across: accuracy in percent; discs: parameters that are trained", fontsize=SMALL)
    for number, result in enumerate(results):
        text = f"{number + 1}  {result.title}, {result.parameters:,} parameters"
        left, top = LEFT + 3.2 * (number // lines), bottom + 0.2 + 0.16 * (number % lines)
        sheet.write(left, top, text, fontsize=SMALL, color=colours[number])
    sheet.save(path)


def size_of(parameters: int) -> float:
    """Return the area of a disc: it grows by the logarithm, as poolings have none to millions."""
    return 30 + 25 * math.log10(1 + parameters)


def find_colours(results: Sequence[Result]) -> list[str]:
    """Return the colour of each result; poolings have those that reports give them."""
    places = place_strokes([result.title if result.pooling != FIRST_POOLING else FIRST_POOLING for result in results])
    return [STROKES[place].light for place in places.values()]
