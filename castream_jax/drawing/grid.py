"""The grid of heat maps, as in the paper: a row for each image, a column for the input and for each map over it.

Of more than two poolings, an image has a line for each attribution, with a column for each pooling (`columns`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

from castream_jax.drawing.columns import LINE, MARGIN, PANEL_GAP, Column, draw_header, lay_header, place_columns
from castream_jax.drawing.overlay import colour_scale, overlay
from castream_jax.drawing.sheet import SMALL, TEXT, Sheet, measure, wrap
from castream_jax.wording import name_attribution

BAR, ROW_GAP = 0.34, 0.14
"""Inches: the colour scale at the foot, and between the rows of the page."""
NARROWEST, WIDEST = 2.5, 0.4
"""Height over width of the most extreme shapes that an image is shown in."""


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Images with their heat maps.

    Raises:
      ValueError: ids, titles, maps or remarks are not one for each image, or maps are not in 0..1.
    """

    images: UInt8[np.ndarray, "n H W 3"]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    """What stands above each image's row: its class and what was predicted."""
    maps: Mapping[tuple[str, str], Float[np.ndarray, "_ _ _"]]
    """By (attribution, pooling), [n h w] in 0..1; h and w may differ from map to map."""
    ratios: tuple[float, ...] = ()
    """Height over width that each image is shown in, its maps with it; empty: as its pixels are."""
    remarks: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What is written over each map, as that it is not a number; empty texts, or none at all: nothing."""

    def __post_init__(self) -> None:
        count = len(self.images)
        lengths = {"ids": len(self.ids), "titles": len(self.titles)} | {
            "/".join(pair): len(maps) for pair, maps in self.maps.items()
        }
        lengths |= {"ratios": len(self.ratios)} if self.ratios else {}
        lengths |= {f"remarks of {'/'.join(pair)}": len(remarks) for pair, remarks in self.remarks.items()}
        wrong = {name: length for name, length in lengths.items() if length != count}
        if wrong:
            raise ValueError(f"heat maps of {count} images have {wrong}: expected one of each for each image.")
        for pair, maps in self.maps.items():
            if not (np.isfinite(maps).all() and (maps >= 0).all() and (maps <= 1).all()):
                raise ValueError(f"the maps of {'/'.join(pair)} leave 0..1: they would not share one colour scale.")

    def shape(self, index: int) -> float:
        """Return the height over width that an image is shown in, without extremes."""
        ratio = self.ratios[index] if self.ratios else self.images.shape[1] / self.images.shape[2]
        return min(max(ratio, WIDEST), NARROWEST)


def draw_grid(heat_maps: HeatMaps, path: str | Path, rows: Sequence[int] | None = None) -> None:
    """Draw the paper's grid as a file: a row for each image, a column for the input and for each map over it.

    Args:
      heat_maps: images with their maps.
      path: the PNG or PDF to write, `PAGE_WIDTH` inches wide, or less where the columns are few.
      rows: the images to draw, by place; by default all.

    Maps are interpolated like those that are measured, and share the scale 0..1.
    """
    lay_grid(heat_maps, rows).save(path)


def lay_grid(
    heat_maps: HeatMaps, rows: Sequence[int] | None = None, across: int = 1, intro: Sequence[str] = ()
) -> Sheet:
    """Return the paper's grid as a page; see `draw_grid`.

    Args:
      heat_maps, rows: as for `draw_grid`.
      across: images in one row of the page, each in a panel with all its columns.
      intro: what stands at the top, the first text larger.
    """
    chosen = list(range(len(heat_maps.images)) if rows is None else rows)
    columns, cell = place_columns(list(heat_maps.maps), across)
    panel = max(column.x for column in columns) + cell - MARGIN
    offsets = [i * (panel + PANEL_GAP) for i in range(min(across, max(len(chosen), 1)))]
    width = offsets[-1] + panel + 2 * MARGIN
    lines = lay_intro(intro, width - 2 * MARGIN)
    texts, height = lay_header(columns, cell)
    header = LINE * len(lines) + height
    strips = [
        lay_strip(heat_maps, chosen[i : i + len(offsets)], columns, panel, cell)
        for i in range(0, len(chosen), len(offsets))
    ]
    sheet = Sheet(width, header + sum(strip.height for strip in strips) + BAR)

    for i, (text, style) in enumerate(lines):
        sheet.write(MARGIN, LINE * (i + 1) - 0.03, text, va="baseline", **style)
    for offset in offsets:
        draw_header(sheet, texts, header, offset)
    y = header
    for strip in strips:
        for i, heading, offset in zip(strip.images, strip.headings, offsets):
            write_heading(sheet, heading, MARGIN + offset, panel, y + LINE * strip.lines)
            draw_cells(sheet, heat_maps, i, columns, cell, offset, y + LINE * strip.lines)
        y += strip.height
    draw_bar(sheet)
    return sheet


Heading = list[tuple[str, str]]
"""The lines above an image: (its title's text, its id or nothing)."""


@dataclass(frozen=True)
class Strip:
    """The images of one row of the page."""

    images: Sequence[int]
    headings: list[Heading]
    lines: int
    height: float


def lay_strip(
    heat_maps: HeatMaps, images: Sequence[int], columns: Sequence[Column], panel: float, cell: float
) -> Strip:
    """Return one row of the page, as high as its highest image and heading."""
    headings = [lay_heading(heat_maps.titles[i], heat_maps.ids[i], panel) for i in images]
    lines = max(map(len, headings))
    highest = cell * max(map(heat_maps.shape, images))
    height = sum(highest + (LINE if title else 0) for title in name_lines(columns))
    return Strip(images, headings, lines, LINE * lines + height + ROW_GAP)


def name_lines(columns: Sequence[Column]) -> list[str]:
    """Return what stands above each line of an image's maps: nothing if it is the only one."""
    titles = {
        column.line: name_attribution(column.pair[0]) if column.is_named and column.pair else "" for column in columns
    }
    return [titles[line] for line in sorted(titles)]


def lay_intro(texts: Sequence[str], width: float) -> list[tuple[str, dict[str, object]]]:
    """Return the lines at the top of the page, with their styles."""
    lines: list[tuple[str, dict[str, object]]] = []
    for i, text in enumerate(texts):
        size = SMALL if i else TEXT + 1
        lines += [(line, {"fontsize": size, "color": "#444444" if i else "black"}) for line in wrap(text, width, size)]
    return [*lines, ("", {})] if lines else []


def write_heading(sheet: Sheet, heading: Heading, left: float, width: float, bottom: float) -> None:
    """Write the lines above an image."""
    for line, (title, identity) in enumerate(heading, start=1 - len(heading)):
        baseline = bottom + LINE * line - 0.045
        sheet.write(left, baseline, title, va="baseline")
        sheet.write(left + width, baseline, identity, va="baseline", ha="right", fontsize=SMALL, color="#666666")


def draw_cells(
    sheet: Sheet, heat_maps: HeatMaps, i: int, columns: Sequence[Column], cell: float, offset: float, top: float
) -> None:
    """Draw an image, and each of its maps over it."""
    height = cell * heat_maps.shape(i)
    above = LINE if any(column.is_named for column in columns) else 0
    left = min(column.x for column in columns[1:]) if len(columns) > 1 else 0
    for line, title in enumerate(filter(None, name_lines(columns))):
        sheet.write(left + offset, top + line * (above + height) + above - 0.04, title, va="baseline", fontsize=SMALL)
    for column in columns:
        axes = sheet.axes(column.x + offset, top + above + column.line * (above + height), cell, height)
        axes.set_axis_off()
        picture = heat_maps.images[i] / np.float32(255)  # [H W 3]
        if column.pair is not None:
            picture = overlay(picture, heat_maps.maps[column.pair][i])
        axes.imshow(picture, aspect="auto", interpolation="antialiased")
        if column.pair is not None and (remark := heat_maps.remarks.get(column.pair, ("",) * (i + 1))[i]):
            sheet.stamp(axes, remark, cell)


def lay_heading(title: str, identity: str, width: float) -> Heading:
    """Return the lines above an image, which never overlap."""
    lines = wrap(title, width, TEXT)
    while measure(identity, SMALL) > width:
        half = (len(identity) - 1) // 2
        identity = f"{identity[: half - 1]}…{identity[half - len(identity) + 1 :]}"
    if measure(lines[-1], TEXT) + measure("MM", TEXT) + measure(identity, SMALL) > width:
        lines.append("")
    return [(line, "") for line in lines[:-1]] + [(lines[-1], identity)]


def draw_bar(sheet: Sheet) -> None:
    """Draw the colour scale at the foot of the grid."""
    length = min(1.8, sheet.width / 2)
    left, top = sheet.width - MARGIN - 0.06 - length, sheet.height - BAR + 0.06
    axes = sheet.axes(left, top, length, 0.08)
    axes.imshow(colour_scale(rows=1), aspect="auto", extent=(0, 1, 0, 1))
    axes.set(xticks=[0, 0.5, 1], yticks=[])
    axes.set_xticklabels(["0", "0.5", "1"], fontsize=SMALL)
    axes.tick_params(length=2, width=0.4, pad=1.5)
    thin_frame(axes)
    sheet.write(left - 0.08, top + 0.04, "saliency", ha="right", va="center", fontsize=SMALL)


def thin_frame(axes: Axes) -> None:
    """Draw the frame of axes in a thin line."""
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
