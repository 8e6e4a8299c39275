"""The tables of a report, in names and numbers for people: attributions, null maps, and differences of poolings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric
from castream_jax.report.headings import count_differences, list_poolings, name_best, name_comparison
from castream_jax.report.schema import Difference, Report
from castream_jax.report.statistics import FEWEST
from castream_jax.wording import is_null, name_attribution, name_pooling, order_pairs

ABSENT = "—"
"""What a table shows where a value does not exist."""
ZERO = "0.00"
SURE = "†"
"""Behind a difference that Holm's correction leaves."""


@dataclass(frozen=True)
class Cell:
    """One number of a table as it is shown."""

    text: str
    interval: str = ""
    is_marked: bool = False
    """It stands out; the section says in what."""
    is_sure: bool = False
    """So it does by Holm's correction, too."""


@dataclass(frozen=True)
class Section:
    """Lines of a table that belong together."""

    title: str
    meaning: str
    """What a marked cell says; empty where none is."""
    lines: list["Line"]
    """Attribution (empty where it is that of the line above), pooling, and a cell for each metric."""
    against: str = ""
    """Of differences: the pooling that is subtracted, by name."""

    def own(self, label: str) -> str:
        """Return whose numbers a line of this section holds, by what stands for its pooling: "CA" of "CA-GAP"."""
        return label.removesuffix(f"-{self.against}") if self.against else label


@dataclass(frozen=True)
class Table:
    """One table."""

    title: str
    metrics: Sequence[Metric]
    sections: list[Section]


def tabulate(report: Report) -> list[Table]:
    """Return the tables, one for each question that its metrics answer: first those that are measured unless others are
    asked for, as the paper's, then the others.
    """
    asked: dict[tuple[bool, str], list[Metric]] = {}
    for metric in sorted(report_metrics(report), key=lambda metric: not metric.by_default):
        asked.setdefault((metric.by_default, metric.question), []).append(metric)
    known = {question for is_usual, question in asked if is_usual}
    return [
        Table(
            question if is_usual or question not in known else f"{question}: other measures",
            found,
            _create_sections(report, found),
        )
        for (is_usual, question), found in asked.items()
    ]


def split(table: Table, most: int) -> list[Table]:
    """Return a table as several ones of no more than so many metrics."""

    def take(metrics: slice) -> Table:
        sections = [
            replace(section, lines=[(name, pooling, cells[metrics]) for name, pooling, cells in section.lines])
            for section in table.sections
        ]
        return replace(table, metrics=table.metrics[metrics], sections=sections)

    return [take(slice(start, start + most)) for start in range(0, len(table.metrics), most)]


def report_metrics(report: Report) -> list[Metric]:
    """Return the metrics whose means a report holds."""
    held = report["rows"][0] if report["rows"] else {}
    return [metric for symbol, metric in METRICS.items() if symbol in held]


def _create_sections(report: Report, metrics: Sequence[Metric]) -> list[Section]:
    """Return the attributions, the null maps, and the differences, as far as there are any."""
    means = {(line["attribution"], line["pooling"]): line for line in report["rows"]}
    intervals = {(line["attribution"], line["pooling"]): line for line in report["intervals"]}
    order = order_pairs(list(means))

    winners = find_winners(report, metrics)

    def lay(attribution: str) -> list["Line"]:
        name = name_attribution(attribution)
        lines = []
        for pooling in order[attribution]:
            line, interval = means[attribution, pooling], intervals[attribution, pooling]
            cells = [
                Cell(
                    format_number(line[metric.symbol]),
                    format_interval(interval[metric.symbol]),
                    winners.get((attribution, metric.symbol)) == pooling,
                )
                for metric in metrics
            ]
            lines.append((name if pooling == order[attribution][0] else "", name_pooling(pooling), cells))
        return lines

    sections = [
        Section("Attributions.", name_best(report), [line for a in order if not is_null(a) for line in lay(a)]),
        Section(
            "Null maps, which know nothing of the network: what a metric gives for nothing.",
            "",
            [line for a in order if is_null(a) for line in lay(a)],
        ),
        Section(
            f"{name_comparison(report)} on the same images.",
            f"the {100 * report['bootstrap']['level']:g} % interval excludes 0; {SURE}: by Holm's correction for all "
            f"{count_differences(report):,} differences of this report, too",
            _subtract(report, metrics),
            name_pooling(list_poolings(report)[0]) if report["rows"] else "",
        ),
    ]
    return [replace(section, lines=fold_zeros(section.lines)) for section in sections if section.lines]


def find_winners(report: Report, metrics: Sequence[Metric]) -> dict[tuple[str, str], str]:
    """Return by attribution and symbol the pooling that is better than all others, beyond doubt (`is_certain`).

    The first pooling is it where each difference from it says so, another one where its own does and its mean is best.
    """
    means = {(line["attribution"], line["pooling"]): line for line in report["rows"]}
    winners = {}
    for attribution in dict.fromkeys(name for name, _ in means if not is_null(name)):
        lines = [line for line in report["differences"] if line["attribution"] == attribution]
        for metric in metrics if lines else ():
            sign = -1 if metric.lower_is_better else 1
            gains = {line["pooling"]: line[metric.symbol] for line in lines}
            certain = {pooling: gain for pooling, gain in gains.items() if is_certain(gain)}
            if len(certain) == len(gains) and all(sign * gain["mean"] < 0 for gain in certain.values()):
                winners[attribution, metric.symbol] = lines[0]["against"]
            best = max(gains, key=lambda pooling: sign * (gains[pooling]["mean"] or 0))
            if best in certain and sign * certain[best]["mean"] > 0:
                winners[attribution, metric.symbol] = best
    return winners


def is_certain(difference: Difference) -> bool:
    """Return whether the interval of a difference excludes 0, and is of enough images to be believed."""
    return difference["images"] >= FEWEST and excludes_zero(difference["interval"])


Line = tuple[str, str, list[Cell]]


def fold_zeros(lines: list[Line]) -> list[Line]:
    """Return lines of a section; where several have cells of 0 only, they become one that names them."""
    named: list[tuple[str, Line]] = []
    for line in lines:
        named.append((line[0] or named[-1][0], line))
    zeros = [name for name, (_, _, cells) in named if all(cell.text == ZERO for cell in cells)]
    if len(zeros) < 2:
        return lines
    kept: list[Line] = []
    before = ""
    for name, (_, pooling, cells) in named:
        if not all(cell.text == ZERO for cell in cells):
            kept.append((name if name != before else "", pooling, cells))
            before = name
    return [*kept, (", ".join(dict.fromkeys(zeros)), "all", [Cell(ZERO) for _ in named[0][1][2]])]


def _subtract(report: Report, metrics: Sequence[Metric]) -> list["Line"]:
    """Return the lines of each pooling minus the first, null maps last; of two poolings, the line names both."""
    are_two = len(list_poolings(report)) == 2
    lines: list[Line] = []
    before = None
    for line in sorted(report["differences"], key=lambda line: is_null(line["attribution"])):
        cells = []
        for metric in metrics:
            mean, interval = line[metric.symbol]["mean"], line[metric.symbol]["interval"]
            marked = is_certain(line[metric.symbol])
            sure = marked and line[metric.symbol]["survives_holm"]
            cells.append(Cell(format_difference(mean), format_interval(interval), marked, sure))
        pair = name_pooling(line["pooling"]) + (f"-{name_pooling(line['against'])}" if are_two else "")
        attribution = line["attribution"]
        lines.append(("" if attribution == before else name_attribution(attribution), pair, cells))
        before = attribution
    return lines


def excludes_zero(interval: Sequence[float] | None) -> bool:
    """Return whether 0 lies outside of an interval."""
    return interval is not None and not interval[0] <= 0 <= interval[1]


def format_number(value: float | None) -> str:
    """Return a percentage or a correlation as every table shows it."""
    return ABSENT if value is None else f"{value:z.2f}"


def format_difference(value: float | None) -> str:
    """Return a difference of percentages with its sign; what rounds to 0 has none."""
    if value is None:
        return ABSENT
    return f"{value:z.2f}" if round(value, 2) == 0 else f"{value:+.2f}"


def format_interval(interval: Sequence[float] | None) -> str:
    """Return an interval of percentages, or nothing."""
    return "" if interval is None else f"[{interval[0]:z.2f}, {interval[1]:z.2f}]"
