"""The tables of a report, in names and numbers for people: attributions, null maps, and differences of poolings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric
from castream_jax.report.schema import Report
from castream_jax.wording import is_null, name_attribution, name_pooling, order_pairs, order_poolings

ABSENT = "—"
"""What a table shows where a value does not exist."""


@dataclass(frozen=True)
class Cell:
    """One number of a table as it is shown."""

    text: str
    interval: str = ""
    is_marked: bool = False
    """It stands out; the section says in what."""


@dataclass(frozen=True)
class Section:
    """Lines of a table that belong together."""

    title: str
    meaning: str
    """What a marked cell says; empty where none is."""
    lines: list[tuple[str, str, list[Cell]]]
    """Attribution (empty where it is that of the line above), pooling, and a cell for each metric."""


@dataclass(frozen=True)
class Table:
    """One table."""

    title: str
    metrics: Sequence[Metric]
    sections: list[Section]


def tabulate(report: Report) -> list[Table]:
    """Return the tables: one for each question that its metrics answer, in the order of the metrics."""
    metrics = report_metrics(report)
    questions = dict.fromkeys(metric.question for metric in metrics)
    asked = {question: [metric for metric in metrics if metric.question == question] for question in questions}
    return [Table(question, found, _create_sections(report, found)) for question, found in asked.items()]


def report_metrics(report: Report) -> list[Metric]:
    """Return the metrics whose means a report holds."""
    held = report["rows"][0] if report["rows"] else {}
    return [metric for symbol, metric in METRICS.items() if symbol in held]


def _create_sections(report: Report, metrics: Sequence[Metric]) -> list[Section]:
    """Return the attributions, the null maps, and the differences, as far as there are any."""
    means = {(line["attribution"], line["pooling"]): line for line in report["rows"]}
    intervals = {(line["attribution"], line["pooling"]): line for line in report["intervals"]}
    order = order_pairs(list(means))

    def lay(attribution: str) -> list[tuple[str, str, list[Cell]]]:
        poolings = order[attribution]
        compared = [] if is_null(attribution) else [means[attribution, pooling] for pooling in poolings]
        best = {metric.symbol: _find_best(metric, compared) for metric in metrics}
        lines, name = [], name_attribution(attribution)
        for pooling in poolings:
            line = means[attribution, pooling]
            cells = [
                Cell(
                    format_percent(line[symbol]),
                    format_interval(intervals[attribution, pooling][symbol]),
                    line[symbol] is not None and round(line[symbol], 2) == value,
                )
                for symbol, value in best.items()
            ]
            lines.append((name if pooling == poolings[0] else "", name_pooling(pooling), cells))
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
            f"the {100 * report['bootstrap']['level']:g} % interval excludes 0",
            _subtract(report, metrics),
        ),
    ]
    return [section for section in sections if section.lines]


def list_poolings(report: Report) -> list[str]:
    """Return the poolings that a report is of, in the order of the table."""
    return order_poolings(list(dict.fromkeys(line["pooling"] for line in report["rows"])))


def name_best(report: Report) -> str:
    """Return what a marked mean is."""
    names = [name_pooling(pooling) for pooling in list_poolings(report)]
    return f"the better of {names[0]} and {names[1]}" if len(names) == 2 else "the best pooling"


def name_comparison(report: Report) -> str:
    """Return what the differences are of, as a heading: "CA minus GAP"."""
    first, *others = [name_pooling(pooling) for pooling in list_poolings(report)]
    return f"{others[0] if len(others) == 1 else 'Each pooling'} minus {first}"


def _subtract(report: Report, metrics: Sequence[Metric]) -> list[tuple[str, str, list[Cell]]]:
    """Return the lines of each pooling minus the first, null maps last."""
    lines: list[tuple[str, str, list[Cell]]] = []
    before = None
    for line in sorted(report["differences"], key=lambda line: is_null(line["attribution"])):
        cells = []
        for metric in metrics:
            mean, interval = line[metric.symbol]["mean"], line[metric.symbol]["interval"]
            cells.append(Cell(format_difference(mean), format_interval(interval), excludes_zero(interval)))
        pair = f"{name_pooling(line['pooling'])}-{name_pooling(line['against'])}"
        attribution = line["attribution"]
        lines.append(("" if attribution == before else name_attribution(attribution), pair, cells))
        before = attribution
    return lines


def _find_best(metric: Metric, lines: list[dict[str, Any]]) -> float | None:
    """Return the best value of a metric as shown, or None if there is nothing to compare."""
    shown = [round(line[metric.symbol], 2) for line in lines if line[metric.symbol] is not None]
    if len(shown) < 2:
        return None
    return min(shown) if metric.lower_is_better else max(shown)


def excludes_zero(interval: Sequence[float] | None) -> bool:
    """Return whether 0 lies outside of an interval."""
    return interval is not None and not interval[0] <= 0 <= interval[1]


def format_percent(value: float | None) -> str:
    """Return a percentage as every table shows it."""
    return ABSENT if value is None else f"{value:z.2f}"


def format_difference(value: float | None) -> str:
    """Return a difference of percentages with its sign; what rounds to 0 has none."""
    if value is None:
        return ABSENT
    return f"{value:z.2f}" if round(value, 2) == 0 else f"{value:+.2f}"


def format_interval(interval: Sequence[float] | None) -> str:
    """Return an interval of percentages, or nothing."""
    return "" if interval is None else f"[{interval[0]:z.2f}, {interval[1]:z.2f}]"
