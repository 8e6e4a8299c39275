"""Which column of a grid shows which map, and what stands above it.

Of one or two poolings, each map has a column, those of an attribution beside each other. Of more, each pooling has one,
and each attribution a line of its own below the other ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from castream_jax.drawing.sheet import PAGE_WIDTH, SMALL, TEXT, Sheet, wrap
from castream_jax.wording import is_of_class, list_poolings, name_attribution, name_pooling, order_pairs

MARGIN, GAP, GROUP_GAP, PANEL_GAP, LARGEST_CELL = 0.04, 0.04, 0.13, 0.3, 1.3
LINE = 0.135
"""In inches: around the page, between columns, widest cell; a line of text."""
FEW = 2
"""Poolings whose maps stand beside each other under every attribution."""


@dataclass(frozen=True)
class Column:
    """The image, or one map over it, in a grid's first panel."""

    x: float
    pair: tuple[str, str] | None = None
    line: int = 0
    """Below the first one."""
    is_named: bool = False
    """Its attribution stands above its line, not above its column."""


@dataclass(frozen=True)
class Heading:
    """A text above columns."""

    lines: list[str]
    left: float
    right: float
    has_rule: bool
    """It is an attribution, with a rule over the names of its poolings."""


def count_columns(pairs: Sequence[tuple[str, str]]) -> int:
    """Return how many columns of maps a grid has."""
    poolings = len(list_poolings(pairs))
    return len(pairs) if poolings <= FEW else poolings


def place_columns(pairs: Sequence[tuple[str, str]], across: int = 1) -> tuple[list[Column], float]:
    """Return the columns of a grid from left to right, and the width of a cell: input, raw attention, the rest.

    They are those of the first of `across` panels beside each other.
    """
    groups = order_pairs(sorted(pairs, key=lambda pair: is_of_class(pair[0])))
    poolings, count = list_poolings(pairs), count_columns(pairs)
    breaks = len(groups) if len(poolings) <= FEW else 1
    panel = (PAGE_WIDTH - 2 * MARGIN - PANEL_GAP * (across - 1)) / across
    cell = min(LARGEST_CELL, (panel - GROUP_GAP * breaks - GAP * (count - breaks)) / (1 + count))
    columns = [Column(MARGIN)]
    if len(poolings) > FEW:
        left = MARGIN + cell + GROUP_GAP
        x = {pooling: left + i * (cell + GAP) for i, pooling in enumerate(poolings)}
        return [
            *columns,
            *(Column(x[p], (a, p), line, True) for line, (a, own) in enumerate(groups.items()) for p in own),
        ], cell
    for attribution, own in groups.items():
        for i, pooling in enumerate(own):
            columns.append(Column(columns[-1].x + cell + (GAP if i else GROUP_GAP), (attribution, pooling)))
    return columns, cell


def lay_header(columns: Sequence[Column], cell: float) -> tuple[list[Heading], float]:
    """Return what stands above the columns, and how high that is in inches."""
    if any(column.is_named for column in columns):
        places = {column.x: column.pair for column in columns}
        names = {x: wrap(name_pooling(pair[1]) if pair else "Input", cell, SMALL) for x, pair in places.items()}
        found = [Heading(lines, x, x + cell, False) for x, lines in names.items()]
        return found, 0.12 + LINE * max(map(len, names.values()))
    found = []
    for attribution in dict.fromkeys(column.pair[0] for column in columns if column.pair):
        own = [column.x for column in columns if column.pair and column.pair[0] == attribution]
        left, right = own[0], own[-1] + cell
        found.append(Heading(wrap(name_attribution(attribution), right - left, TEXT), left, right, True))
    height = 0.27 + LINE * max((len(heading.lines) for heading in found), default=0)
    found += [
        Heading([name_pooling(column.pair[1]) if column.pair else "Input"], column.x, column.x + cell, False)
        for column in columns
    ]
    return found, height


def draw_header(sheet: Sheet, headings: Sequence[Heading], height: float, offset: float) -> None:
    """Write each text over the middle of its columns; `height` is where the first image begins."""
    for heading in headings:
        middle, size = offset + (heading.left + heading.right) / 2, TEXT if heading.has_rule else SMALL
        lowest = height - (0.26 if heading.has_rule else 0.1)
        for i, line in enumerate(reversed(heading.lines)):
            sheet.write(middle, lowest - LINE * i, line, ha="center", va="baseline", fontsize=size)
        if heading.has_rule:
            sheet.rule(offset + heading.left, offset + heading.right, height - 0.22)
