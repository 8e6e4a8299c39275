"""The curves of insertion and deletion as a PNG file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from matplotlib.axes import Axes

from castream_jax.drawing.grid import thin_frame
from castream_jax.drawing.palette import STROKES, place_strokes
from castream_jax.drawing.sheet import PAGE_WIDTH, SMALL, TEXT, Sheet, measure
from castream_jax.evaluation.rows import mean_curves, measured
from castream_jax.metrics.metric import Metric
from castream_jax.wording import is_null, list_poolings, name_attribution, name_pooling, order_pairs

REFERENCE = "random"
"""The null map whose curve stands in grey behind those of every attribution."""
FEW = 3
"""Poolings whose names find room in a panel; those of more stand once, above all panels."""
ROW, LEGEND_LINE = 1.78, 0.15
"""Inches: of a metric, and of a line of the legend above them."""


def draw_curves(rows: pa.Table, path: str | Path) -> None:
    """Draw the mean curves of the metrics that are areas as a PNG: a panel for each attribution, all poolings in it.

    Null maps have no panel; where there is a random one, its curves are grey in every panel.
    """
    curves, limit = find_curves(rows)
    if not curves:
        return
    pairs = order_pairs([pair for pair in next(iter(curves.values())) if not is_null(pair[0])])
    styles = create_styles(list_poolings((name, pooling) for name, poolings in pairs.items() for pooling in poolings))
    panel = (PAGE_WIDTH - 0.5) / max(len(pairs), 4)
    width = 0.5 + panel * max(len(pairs), 1)
    legend = lay_legend(list(styles), width - 0.55) if len(styles) > FEW else []
    above = LEGEND_LINE * len(legend) + (0.05 if legend else 0)
    sheet = Sheet(width, above + ROW * len(curves))
    draw_legend(sheet, legend, styles)
    for row, (metric, group) in enumerate(curves.items()):
        top = above + ROW * row
        sheet.write(0.45, top + 0.14, f"{metric.name} {metric.arrow}", va="baseline", weight="bold")
        for column, (attribution, poolings) in enumerate(pairs.items()):
            axes = sheet.axes(0.45 + panel * column, top + 0.36, panel - 0.12, 1.15)
            for pooling in poolings:
                curve = group[attribution, pooling]
                style = styles[pooling]
                axes.plot(np.linspace(0, 1, len(curve)), curve, linewidth=1.2, label=name_pooling(pooling), **style)
                if (REFERENCE, pooling) in group:
                    grey = style | {"color": "#999999", "zorder": 1}
                    axes.plot(np.linspace(0, 1, len(curve)), group[REFERENCE, pooling], linewidth=0.7, **grey)
            style_panel(axes, metric, limit, first=column == 0)
            axes.set_title(name_attribution(attribution), fontsize=TEXT, pad=3)
            if not legend:
                corner = clear_corner(metric)
                axes.legend(loc=corner, fontsize=SMALL, frameon=False, handlelength=2.2, borderaxespad=0.3)
    sheet.save(path)


def create_styles(poolings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how matplotlib draws the line of each pooling, in the order of the table.

    The more is left out of a line, and the earlier it stands, the higher it lies: all are seen where they are equal.
    """
    styles = {}
    for pooling, place in place_strokes(poolings).items():
        stroke = STROKES[place]
        height = 3 - place / len(STROKES) if stroke.dashes else 2
        styles[pooling] = {
            "color": stroke.light,
            "linestyle": (0, stroke.flat_dashes) if stroke.dashes else "-",
            "zorder": height,
        }
    return styles


def lay_legend(poolings: Sequence[str], width: float) -> list[list[tuple[str, float]]]:
    """Return the lines of the legend, each of poolings and where they begin in inches."""
    lines: list[list[tuple[str, float]]] = [[]]
    x = 0.0
    for pooling in poolings:
        needed = SAMPLE + measure(name_pooling(pooling), SMALL)
        if lines[-1] and x + needed > width:
            lines.append([])
            x = 0.0
        lines[-1].append((pooling, x))
        x += needed + 0.15
    return lines


SAMPLE = 0.34
"""Inches of a stroke of the legend, and the space behind it."""


def draw_legend(sheet: Sheet, lines: Sequence[Sequence[tuple[str, float]]], styles: dict[str, dict[str, Any]]) -> None:
    """Draw the stroke of each pooling and its name, at the top of the page."""
    for i, line in enumerate(lines):
        y = LEGEND_LINE * (i + 1) - 0.03
        for pooling, x in line:
            sheet.rule(0.45 + x, 0.45 + x + SAMPLE - 0.06, y - 0.03, linewidth=1.2, **styles[pooling])
            sheet.write(0.45 + x + SAMPLE, y, name_pooling(pooling), va="baseline", fontsize=SMALL)


def find_curves(rows: pa.Table) -> tuple[dict[Metric, dict[tuple[str, str], Float[np.ndarray, "points"]]], float]:
    """Return the mean curves of each metric that is an area, by (attribution, pooling), and the top of their axis."""
    curves = {metric: mean_curves(rows, metric.column) for metric in measured(rows) if metric.curve}
    return curves, probability_limit([curve for group in curves.values() for curve in group.values()])


def probability_limit(curves: Sequence[Float[np.ndarray, "points"]]) -> float:
    """Return the top of the axis that all panels share: the lowest round probability that no curve exceeds."""
    highest = max((np.nanmax(curve, initial=0) for curve in curves), default=1)
    return next((limit for limit in (0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if highest <= limit), 1.0)


def clear_corner(metric: Metric) -> Literal["upper right", "lower right"]:
    """Return where no curve is: good ones of the metrics that should be low fall at once, the others rise at once."""
    return "upper right" if metric.lower_is_better else "lower right"


def style_panel(axes: Axes, metric: Metric, limit: float, first: bool) -> None:
    """Label a panel of curves; only the first of a row has numbers on its left."""
    axes.set(xlim=(0, 1), ylim=(0, limit), xticks=[0, 0.5, 1], yticks=np.linspace(0, limit, 5))
    axes.set_xticklabels(["0", "0.5", "1"])
    axes.set_yticklabels([f"{tick:g}" for tick in np.linspace(0, limit, 5).round(4)])
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=2, labelleft=first)
    axes.set_xlabel(metric.curve, fontsize=SMALL, labelpad=1.5)
    if first:
        axes.set_ylabel("probability", fontsize=SMALL, labelpad=2)
    axes.grid(color="#dddddd", linewidth=0.5)
    thin_frame(axes)
