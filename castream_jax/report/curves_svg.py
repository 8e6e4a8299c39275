"""Curves of insertion and deletion in SVG coordinates: a panel for each attribution, with all poolings and bands."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from castream_jax.drawing.palette import STROKES, place_strokes
from castream_jax.evaluation.row_images import number_images
from castream_jax.evaluation.rows import read_curves
from castream_jax.metrics.metric import Metric
from castream_jax.report.curves_png import REFERENCE, find_curves
from castream_jax.report.statistics import LEVEL, SEED, bootstrap_intervals
from castream_jax.report.tables import format_number
from castream_jax.wording import is_null, list_poolings, name_attribution, name_pooling, order_pairs

RESAMPLES = 1_000
"""Of a band: its edges are drawn, not read off in digits."""

Band = list[tuple[float, float] | None]
"""The interval of the mean at each point of a curve."""


@dataclass(frozen=True)
class Line:
    """One pooling's curve in a panel."""

    place: int
    """Of its stroke in `STROKES`."""
    name: str
    points: str
    """SVG coordinates."""
    area: str
    """Area under the curve in percent."""
    band: str
    """SVG coordinates of the polygon around the curve; empty if there is none."""


@dataclass(frozen=True)
class Panel:
    """The curves of one attribution."""

    title: str
    lines: list[Line]
    references: list[tuple[str, str]]
    """Of the random map: (name of the pooling, SVG coordinates)."""

    @property
    def stacked(self) -> list[Line]:
        """The lines as they are drawn, one over the other: whole ones, then dashed ones, the first at the top."""
        return sorted(reversed(self.lines), key=lambda line: bool(STROKES[line.place].dashes))

    @property
    def spoken(self) -> str:
        """What the panel shows, for those who do not see it."""
        return f"{self.title}: " + ", ".join(f"{line.name} {line.area} percent" for line in self.lines)


@dataclass(frozen=True)
class Frame:
    """The axes that all panels share, in SVG units."""

    limit: float
    """The probability at the top."""
    width: int = 248
    height: int = 176
    left: int = 46
    right: int = 242
    top: int = 10
    bottom: int = 138

    def x(self, fraction: float) -> float:
        """Return the place of a fraction of pixels."""
        return self.left + fraction * (self.right - self.left)

    def y(self, probability: float) -> float:
        """Return the height of a probability; one above the limit ends there."""
        return self.bottom - float(min(probability / self.limit, 1.0)) * (self.bottom - self.top)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places and labels below the frame."""
        return [(self.x(tick), f"{tick:g}") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places and labels beside the frame."""
        return [(self.y(tick), f"{tick:g}") for tick in np.linspace(0, self.limit, 5).round(4)]


def build_curves(rows: pa.Table) -> tuple[Frame, list[tuple[Metric, list[Panel]]]]:
    """Return the axes, and the panels of insertion and of deletion, of per-image rows."""
    curves, limit = find_curves(rows)
    frame = Frame(limit)
    return frame, [(metric, build_panels(frame, found, find_bands(rows, metric))) for metric, found in curves.items()]


def find_bands(rows: pa.Table, metric: Metric) -> dict[tuple[str, str], Band]:
    """Return the 95 % bootstrap interval of the mean curve at each point, of every map that is no null map.

    The images resampled are the same ones for every map and point.
    """
    owners = number_images(rows)
    return {
        pair: bootstrap_intervals(curves.astype(np.float64), RESAMPLES, SEED, owners)
        for pair, curves in read_curves(rows, metric.column)
        if not is_null(pair[0])
    }


def describe_bands() -> str:
    """Return what a band is."""
    return (
        f"A band is the {100 * LEVEL:g} % percentile bootstrap interval of the mean at each point alone, over images "
        f"({RESAMPLES:,} resamples, seed {SEED}); where two bands overlap, the paired interval in the table says more."
    )


def build_panels(
    frame: Frame, curves: Mapping[tuple[str, str], np.ndarray], bands: Mapping[tuple[str, str], Band]
) -> list[Panel]:
    """Return a panel for each attribution; null maps have none, but the random one is in every panel."""
    panels = []
    explained = [pair for pair in curves if not is_null(pair[0])]
    strokes = place_strokes(list_poolings(explained))
    for attribution, poolings in order_pairs(explained).items():
        lines = [draw_line(frame, p, curves[attribution, p], bands[attribution, p], strokes[p]) for p in poolings]
        referred = [p for p in poolings if (REFERENCE, p) in curves]
        references = [(name_pooling(p), place(frame, curves[REFERENCE, p])) for p in referred]
        panels.append(Panel(name_attribution(attribution), lines, references))
    return panels


def draw_line(frame: Frame, pooling: str, curve: Float[np.ndarray, "points"], band: Band, stroke: int = 0) -> Line:
    """Return a curve in the coordinates of a frame, with its area (METHOD 3), its band, and the place of its stroke."""
    area = 100 * float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
    shown = format_number(area if math.isfinite(area) else None)
    edges = [np.array([interval[edge] if interval else math.nan for interval in band]) for edge in (0, 1)]
    low, high = (place(frame, np.where(np.isfinite(curve), edge, math.nan)) for edge in edges)
    outline = " ".join([high, *reversed(low.split())]) if low else ""
    return Line(stroke, name_pooling(pooling), place(frame, curve), shown, outline)


def place(frame: Frame, curve: Float[np.ndarray, "points"]) -> str:
    """Return a curve in SVG coordinates; points that are not finite are left out."""
    places = np.linspace(0, 1, len(curve))
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(places, curve) if math.isfinite(y))
