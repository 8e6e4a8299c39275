"""Pictures: the paper's grid of heat maps, and the curves of insertion and deletion, as PNG files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes

from castream_jax.evaluation.names import METRICS, Metric, is_null, name_attribution, name_pooling, order_pairs
from castream_jax.evaluation.rows import mean_curves
from castream_jax.evaluation.sheet import PAGE_WIDTH, SMALL, TEXT, Sheet, measure, wrap
from castream_jax.masking import upsample

COLOURS = colormaps["inferno"]
HEAT = (0.25, 0.75)
"""Share of the colour in an overlay at saliency 0 and 1; the rest is the image in grey, so that every hue is heat."""
LIFT = 0.1
"""Brightness that black gets in an overlay: inferno is black at 0."""
STYLES: dict[str, dict[str, Any]] = {
    "gap": {"color": "#b4500a", "linestyle": (0, (4, 2)), "zorder": 3},  # dashes lie on top: both are seen where equal
    "ca": {"color": "#0a5fa8", "linestyle": "-"},
}
REFERENCE = "random"
"""The null map whose curve stands in grey behind those of every attribution."""

MARGIN, GAP, GROUP_GAP, LARGEST_CELL = 0.04, 0.04, 0.13, 1.3
HEADER, BAR, LINE, ROW_GAP = 0.27, 0.34, 0.135, 0.14
"""In inches: around the page, between columns, widest cell; the grid's parts (header: without its names)."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images with their heat maps.

    Raises:
      ValueError: ids, titles or maps are not one for each image, or maps are not in 0..1.
    """

    images: UInt8[np.ndarray, "n H W 3"]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    """What stands above each image's row: its class and what was predicted."""
    maps: Mapping[tuple[str, str], Float[np.ndarray, "_ _ _"]]
    """By (attribution, pooling), [n h w] in 0..1; h and w may differ from map to map."""

    def __post_init__(self) -> None:
        count = len(self.images)
        lengths = {"ids": len(self.ids), "titles": len(self.titles)} | {
            "/".join(pair): len(maps) for pair, maps in self.maps.items()
        }
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise ValueError(f"a gallery of {count} images has {wrong}: expected one of each for each image.")
        for pair, maps in self.maps.items():
            if not (np.isfinite(maps).all() and (maps >= 0).all() and (maps <= 1).all()):
                raise ValueError(f"the maps of {'/'.join(pair)} leave 0..1: they would not share one colour scale.")


@dataclass(frozen=True)
class Column:
    """One column of the grid: the image, or one map over it."""

    x: float
    pair: tuple[str, str] | None = None


def place_columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[Column], float]:
    """Return the columns of a grid from left to right, and the width of a cell: input, raw attention, the rest."""
    groups = order_pairs(sorted(pairs, key=lambda pair: not pair[0].startswith("attention")))
    gaps = GROUP_GAP * len(groups) + GAP * (len(pairs) - len(groups))
    cell = min(LARGEST_CELL, (PAGE_WIDTH - 2 * MARGIN - gaps) / (1 + len(pairs)))
    columns = [Column(MARGIN)]
    for attribution, poolings in groups.items():
        for i, pooling in enumerate(poolings):
            columns.append(Column(columns[-1].x + cell + (GAP if i else GROUP_GAP), (attribution, pooling)))
    return columns, cell


def draw_grid(gallery: Gallery, path: str | Path, rows: Sequence[int] | None = None) -> None:
    """Draw the paper's grid as a PNG: a row for each image, a column for the input and for each map over it.

    Args:
      gallery: images with their maps.
      path: the PNG to write, `PAGE_WIDTH` inches wide, or less where the columns are few.
      rows: the images to draw, by place in the gallery; by default all.

    Maps are interpolated like those that are measured, and share the scale 0..1.
    """
    chosen = range(len(gallery.images)) if rows is None else rows
    columns, cell = place_columns(list(gallery.maps))
    width = columns[-1].x + cell + MARGIN
    headings = [lay_heading(gallery.titles[i], gallery.ids[i], width - 2 * MARGIN) for i in chosen]
    cell_height = cell * gallery.images.shape[1] / gallery.images.shape[2]
    heights = [LINE * len(heading) + cell_height + ROW_GAP for heading in headings]
    names = name_groups(columns, cell)
    header = HEADER + LINE * max((len(name) for name, _, _ in names), default=0)
    sheet = Sheet(width, header + sum(heights) + BAR)

    draw_header(sheet, columns, names, cell, header)
    y = header
    for i, heading, height in zip(chosen, headings, heights):
        for line, (title, identity) in enumerate(heading):
            baseline = y + LINE * (line + 1) - 0.045
            sheet.write(MARGIN, baseline, title, va="baseline")
            sheet.write(width - MARGIN, baseline, identity, va="baseline", ha="right", fontsize=SMALL, color="#666666")
        for column in columns:
            axes = sheet.axes(column.x, y + LINE * len(heading), cell, cell_height)
            axes.set_axis_off()
            picture = gallery.images[i] / np.float32(255)  # [H W 3]
            if column.pair is not None:
                picture = overlay(picture, gallery.maps[column.pair][i])
            axes.imshow(picture, aspect="auto", interpolation="antialiased")
        y += height
    draw_bar(sheet)
    sheet.save(path)


def lay_heading(title: str, identity: str, width: float) -> list[tuple[str, str]]:
    """Return the lines above an image's row: (its title's text, its id or nothing). They never overlap."""
    lines = wrap(title, width, TEXT)
    while measure(identity, SMALL) > width:
        half = (len(identity) - 1) // 2
        identity = f"{identity[: half - 1]}…{identity[half - len(identity) + 1 :]}"
    if measure(lines[-1], TEXT) + measure("MM", TEXT) + measure(identity, SMALL) > width:
        lines.append("")
    return [(line, "") for line in lines[:-1]] + [(lines[-1], identity)]


def name_groups(columns: Sequence[Column], cell: float) -> list[tuple[list[str], float, float]]:
    """Return (the lines of its name, left edge, right edge) of each attribution's columns."""
    groups = []
    for attribution in dict.fromkeys(column.pair[0] for column in columns if column.pair):
        places = [column.x for column in columns if column.pair and column.pair[0] == attribution]
        left, right = places[0], places[-1] + cell
        groups.append((wrap(name_attribution(attribution), right - left, TEXT), left, right))
    return groups


def draw_header(
    sheet: Sheet,
    columns: Sequence[Column],
    names: Sequence[tuple[list[str], float, float]],
    cell: float,
    height: float,
) -> None:
    """Write each attribution over its columns, and each column's pooling below it."""
    for lines, left, right in names:
        for i, line in enumerate(reversed(lines)):
            sheet.write((left + right) / 2, height - 0.26 - LINE * i, line, ha="center", va="baseline")
        sheet.rule(left, right, height - 0.22)
    for column in columns:
        label = name_pooling(column.pair[1]) if column.pair else "Input"
        sheet.write(column.x + cell / 2, height - 0.1, label, ha="center", va="baseline", fontsize=SMALL)


def draw_bar(sheet: Sheet) -> None:
    """Draw the colour scale at the foot of the grid, as its colours look over middle grey."""
    length = min(1.8, sheet.width / 2)
    left, top = sheet.width - MARGIN - 0.06 - length, sheet.height - BAR + 0.06
    axes = sheet.axes(left, top, length, 0.08)
    scale = overlay(np.full((1, 256, 3), 0.5, np.float32), np.linspace(0, 1, 256, dtype=np.float32)[None])
    axes.imshow(scale, aspect="auto", extent=(0, 1, 0, 1))
    axes.set(xticks=[0, 0.5, 1], yticks=[])
    axes.set_xticklabels(["0", "0.5", "1"], fontsize=SMALL)
    axes.tick_params(length=2, width=0.4, pad=1.5)
    thin_frame(axes)
    sheet.write(left - 0.08, top + 0.04, "saliency", ha="right", va="center", fontsize=SMALL)


def overlay(image: Float[np.ndarray, "H W 3"], saliency: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "H W 3"]:
    """Return a map's colours over the grey image, both in 0..1; the more salient, the less of the image."""
    grey = LIFT + (1 - LIFT) * image @ np.array([0.299, 0.587, 0.114], np.float32)  # [H W]
    heat = np.clip(upsample(jnp.asarray(saliency, jnp.float32), (image.shape[0], image.shape[1])), 0, 1)  # [H W]
    share = (HEAT[0] + (HEAT[1] - HEAT[0]) * heat)[..., None]  # [H W 1]
    return np.clip(share * COLOURS(heat)[..., :3] + (1 - share) * grey[..., None], 0, 1)


def draw_curves(rows: pa.Table, path: str | Path) -> None:
    """Draw the mean insertion and deletion curves as a PNG: a panel for each attribution, GAP against CA.

    Null maps have no panel; where there is a random one, its curves are grey in every panel.
    """
    curves = {metric: mean_curves(rows, metric.column) for metric in METRICS if metric.symbol in ("I", "D")}
    pairs = order_pairs([pair for pair in next(iter(curves.values())) if not is_null(pair[0])])
    limit = probability_limit([curve for group in curves.values() for curve in group.values()])
    panel = (PAGE_WIDTH - 0.5) / max(len(pairs), 4)
    sheet = Sheet(0.5 + panel * max(len(pairs), 1), 3.56)
    for row, (metric, group) in enumerate(curves.items()):
        sheet.write(0.45, 0.14 + 1.78 * row, f"{metric.name} {metric.arrow}", va="baseline", weight="bold")
        for column, (attribution, poolings) in enumerate(pairs.items()):
            axes = sheet.axes(0.45 + panel * column, 0.36 + 1.78 * row, panel - 0.12, 1.15)
            for pooling in poolings:
                curve = group[attribution, pooling]
                style = STYLES.get(pooling, {})
                axes.plot(np.linspace(0, 1, len(curve)), curve, linewidth=1.2, label=name_pooling(pooling), **style)
                if (REFERENCE, pooling) in group:
                    grey = style | {"color": "#999999", "zorder": 1}
                    axes.plot(np.linspace(0, 1, len(curve)), group[REFERENCE, pooling], linewidth=0.7, **grey)
            style_panel(axes, metric, limit, first=column == 0)
            axes.set_title(name_attribution(attribution), fontsize=TEXT, pad=3)
            axes.legend(fontsize=SMALL, frameon=False, handlelength=2.2, borderaxespad=0.3)
    sheet.save(path)


def probability_limit(curves: Sequence[Float[np.ndarray, "points"]]) -> float:
    """Return the top of the axis that all panels share: the lowest round probability that no curve exceeds."""
    highest = max((np.nanmax(curve, initial=0) for curve in curves), default=1)
    return next((limit for limit in (0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if highest <= limit), 1.0)


def style_panel(axes: Axes, metric: Metric, limit: float, first: bool) -> None:
    """Label a panel of curves; only the first of a row has numbers on its left."""
    axes.set(xlim=(0, 1), ylim=(0, limit), xticks=[0, 0.5, 1], yticks=np.linspace(0, limit, 5))
    axes.set_xticklabels(["0", "0.5", "1"])
    axes.set_yticklabels([f"{tick:g}" for tick in np.linspace(0, limit, 5).round(4)])
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=2, labelleft=first)
    verb = "inserted" if metric.symbol == "I" else "deleted"
    axes.set_xlabel(f"fraction of pixels {verb}", fontsize=SMALL, labelpad=1.5)
    if first:
        axes.set_ylabel("probability", fontsize=SMALL, labelpad=2)
    axes.grid(color="#dddddd", linewidth=0.5)
    thin_frame(axes)


def thin_frame(axes: Axes) -> None:
    """Draw the frame of axes in a thin line."""
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
