"""The report as text: JSON and Markdown in files, and plain text for a terminal."""

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from castream_jax.report.agreement import MEANING, tabulate_agreement
from castream_jax.report.notes import describe_all, describe_source
from castream_jax.report.schema import Report
from castream_jax.report.tables import SURE, Cell, Section, Table, format_number, split, tabulate
from castream_jax.storage.replacement import replacing

WIDTH = 120
"""Columns of a terminal."""
MOST = 5
"""Metrics beside each other in them, if as many find room."""
LONGEST = 16
"""Columns of a pooling's name, the rest of which stands below."""


def write_report(report: Report, directory: str | Path) -> None:
    """Write `report.json` and `report.md`; each appears all at once."""
    files = {
        "report.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render_markdown(report),
    }
    for name, text in files.items():
        with replacing(Path(directory) / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def render_markdown(report: Report) -> str:
    """Return the report in Markdown: the paper's table with intervals, what stands out in bold."""
    lines = [f"{describe_source(report)}."]
    for warning in report.get("warnings", []):
        lines += ["", f"**Warning:** {warning}"]
    for table in tabulate(report):
        lines += ["", f"### {table.title}"]
        headings = ["attribution", "pooling", *(metric.heading for metric in table.metrics)]
        for section in table.sections:
            lines += ["", section.title + (f" Bold: {section.meaning}." if section.meaning else ""), ""]
            lines += [f"| {' | '.join(headings)} |", f"|---|---|{'--:|' * len(table.metrics)}"]
            for attribution, pooling, cells in section.lines:
                texts = [f"**{cell.text}**" if cell.is_marked else cell.text for cell in cells]
                texts = [text + SURE if cell.is_sure else text for text, cell in zip(texts, cells)]
                numbers = [f"{text} {cell.interval}".strip() for text, cell in zip(texts, cells)]
                lines.append(f"| {' | '.join([attribution, pooling, *numbers])} |")
    lines += _render_agreement(report)
    for note in describe_all(report):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _render_agreement(report: Report) -> list[str]:
    """Return the lines of Markdown on how far metrics agree; none where it is not known."""
    if "agreement" not in report:
        return []
    lines = tabulate_agreement(report["agreement"])
    heading = ["metric", *(line.symbol for line in lines), "alpha"]
    texts = ["", "### How far metrics agree", "", MEANING, ""]
    texts += [f"| {' | '.join(heading)} |", f"|---|{'--:|' * (len(lines) + 1)}"]
    for line in lines:
        taus = [f"{format_number(tau)} ({format_number(of_means)})" for tau, of_means in line.taus]
        texts.append(f"| {' | '.join([line.symbol, *taus, format_number(line.alpha)])} |")
    return texts


def render_terminal(report: Report) -> str:
    """Return the report as aligned plain text: below each number its interval, a star at what stands out."""
    warnings = (textwrap.wrap(f"Warning: {text}", WIDTH) for text in report.get("warnings", []))
    texts = [f"{describe_source(report)}.", *(line for warning in warnings for line in warning)]
    texts.append("In percent; below each mean its 95 % interval.")
    tables = [part for whole in tabulate(report) for part in split(whole, _count_columns(whole))]
    has_titles = len({table.title for table in tables}) > 1
    for table in tables:
        heading, sections = _lay_heading(table), [_lay_out(section) for section in table.sections]
        widths = _find_widths([heading, *(line for lines in sections for line in lines)])
        rule = "-" * _measure(widths)
        texts += ["", *([f"{table.title}:"] if has_titles else []), _align(heading, widths)]
        for section, lines in zip(table.sections, sections):
            meaning = f" *: {section.meaning}." if section.meaning else ""
            texts += [rule, *textwrap.wrap(section.title + meaning, WIDTH), ""]
            texts += [_align(line, widths) for line in lines]
        texts.append(rule)
    notes = (textwrap.wrap(note, WIDTH, subsequent_indent="  ") for note in describe_all(report))
    return "\n".join([*texts, *(line for note in notes for line in note)])


def _lay_heading(table: Table) -> list[str]:
    return ["attribution", "pooling", *(f"{metric.heading} " for metric in table.metrics)]


def _lay_out(section: Section) -> list[list[str]]:
    """Return the lines of plain text of a section, cell by cell: a line of numbers, and one of intervals if any.

    A long name of a pooling goes on beside the intervals, and below them.
    """
    lines = []
    for attribution, pooling, cells in section.lines:
        named = _wrap_name(pooling)
        below = [[cell.interval for cell in cells]] if any(cell.interval for cell in cells) else []
        below += [[""] * len(cells)] * (len(named) - 1 - len(below))
        named += [""] * (1 + len(below) - len(named))
        lines.append([attribution, named[0], *map(_mark, cells)])
        lines += [["", name, *texts] for name, texts in zip(named[1:], below, strict=True)]
    return lines


def _wrap_name(name: str) -> list[str]:
    """Return a name in lines of at most `LONGEST` columns, which end at spaces and behind "+" if they can."""
    lines = [""]
    for piece in re.findall(rf"[^\s+]{{1,{LONGEST - 1}}}\+?\s*", name):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > LONGEST:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _count_columns(table: Table) -> int:
    """Return how many metrics of a table find room beside each other in a terminal: at least one, at most `MOST`."""
    widths = _find_widths([_lay_heading(table), *(line for section in table.sections for line in _lay_out(section))])
    names, numbers = widths[:2], widths[2:]

    def fits(count: int) -> bool:
        starts = range(0, len(numbers), count)
        return all(_measure([*names, *numbers[start : start + count]]) <= WIDTH for start in starts)

    return next((count for count in range(MOST, 1, -1) if fits(count)), 1)


def _find_widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column of some lines."""
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _measure(widths: Sequence[int]) -> int:
    """Return the width of a line with two spaces between its columns."""
    return sum(widths) + 2 * (len(widths) - 1)


def _mark(cell: Cell) -> str:
    """Return a number with its mark, as wide as one without."""
    return cell.text + (SURE if cell.is_sure else "*" if cell.is_marked else " ")


def _align(line: list[str], widths: list[int]) -> str:
    """Return a line of plain text: names to the left, numbers to the right."""
    names = [text.ljust(width) for text, width in zip(line[:2], widths[:2])]
    numbers = [text.rjust(width) for text, width in zip(line[2:], widths[2:])]
    return "  ".join(names + numbers).rstrip()
