"""The report as one self-contained HTML file, for screens of any width, light or dark, and for paper."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa

from castream_jax.evaluation.figures import REFERENCE, probability_limit
from castream_jax.evaluation.names import METRICS, is_null, name_attribution, name_pooling, order_pairs
from castream_jax.evaluation.notes import describe_accuracies, describe_numbers, describe_passes, describe_source
from castream_jax.evaluation.rows import mean_curves
from castream_jax.evaluation.tables import format_percent, tabulate

CHOICE_NAMES = {
    "name": "Name",
    "resize": "How an image comes to its size",
    "interpolation": "How images are interpolated",
    "shorter_side": "Shorter side before a crop, in pixels (0: 256/224 of the size)",
    "explained_class": "Class explained and measured",
    "step_rows": "Pixels in one step, in rows of the image",
    "blur_size": "Blur kernel of insertion, side in pixels",
    "blur_sigma": "Blur kernel of insertion, sigma",
    "mask_space": "Where images are multiplied by maps",
    "upsampling": "How maps come to the size of the image",
    "deletion_end": "Where deletion ends",
    "ties": "Order of equal pixels",
    "score_cam": "Score-CAM",
}


@dataclass(frozen=True)
class Line:
    """One pooling's curve in a panel."""

    pooling: str
    """Its key, which styles it."""
    name: str
    points: str
    """SVG coordinates."""
    area: str
    """Area under the curve in percent."""


@dataclass(frozen=True)
class Panel:
    """The curves of one attribution."""

    title: str
    lines: list[Line]
    references: list[str]
    """Of the random map, SVG coordinates."""

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
        """Return the height of a probability."""
        return self.bottom - probability / self.limit * (self.bottom - self.top)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places and labels below the frame."""
        return [(self.x(tick), f"{tick:g}") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places and labels beside the frame."""
        return [(self.y(tick), f"{tick:g}") for tick in np.linspace(0, self.limit, 5).round(4)]


def render_html(report: Mapping[str, Any], rows: pa.Table, figures: Sequence[tuple[str, str | Path]]) -> str:
    """Return the report as one HTML document that needs no other file and no network.

    Args:
      report: what `build_report` returned, or its JSON read back.
      rows: the per-image rows it is of, for the curves.
      figures: (caption, path of a PNG), in order.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    curves = {metric.symbol: mean_curves(rows, metric.column) for metric in METRICS if metric.symbol in ("I", "D")}
    frame = Frame(probability_limit([curve for group in curves.values() for curve in group.values()]))
    tables = tabulate(report)
    return environment.get_template("report.html.jinja").render(
        report=report,
        metrics=[metric for table in tables for metric in table.metrics],
        source=describe_source(report),
        tables=tables,
        accuracies=describe_accuracies(report),
        numbers=describe_numbers(report),
        passes=describe_passes(report),
        frame=frame,
        curves=[(metric, build_panels(frame, curves[metric.symbol])) for metric in METRICS if metric.symbol in curves],
        choices=[(CHOICE_NAMES.get(name, name), value) for name, value in report["protocol_choices"].items()],
        duration=format_duration(report["seconds"]),
        figures=[(caption, base64.b64encode(Path(path).read_bytes()).decode()) for caption, path in figures],
    )


def build_panels(frame: Frame, curves: Mapping[tuple[str, str], np.ndarray]) -> list[Panel]:
    """Return a panel for each attribution; null maps have none, but the random one is in every panel."""
    panels = []
    for attribution, poolings in order_pairs([pair for pair in curves if not is_null(pair[0])]).items():
        lines = [draw_line(frame, pooling, curves[attribution, pooling]) for pooling in poolings]
        references = [place(frame, curves[REFERENCE, p]) for p in poolings if (REFERENCE, p) in curves]
        panels.append(Panel(name_attribution(attribution), lines, references))
    return panels


def draw_line(frame: Frame, pooling: str, curve: np.ndarray) -> Line:
    """Return a curve in the coordinates of a frame, with its area (METHOD 3)."""
    area = 100 * float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
    name, shown = name_pooling(pooling), format_percent(area if math.isfinite(area) else None)
    return Line(pooling, name, place(frame, curve), shown)


def place(frame: Frame, curve: np.ndarray) -> str:
    """Return a curve in SVG coordinates; points that are not finite are left out."""
    places = np.linspace(0, 1, len(curve))
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(places, curve) if math.isfinite(y))


def format_duration(seconds: float) -> str:
    """Return a time for people, such as "1 h 02 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
