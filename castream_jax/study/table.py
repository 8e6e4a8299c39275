"""The table of a study: a line for each pooling, under each map."""

from collections.abc import Sequence

from castream_jax.metrics import METRICS
from castream_jax.metrics.metric import Metric
from castream_jax.report.statistics import FEWEST
from castream_jax.report.tables import SURE, format_number, is_certain
from castream_jax.study.results import Result
from castream_jax.wording import FIRST_POOLING, name_attribution

MEANING = (
    "Means over images, in percent. Bold: the difference from GAP excludes 0 (95 % paired bootstrap over images, of "
    f"{FEWEST} at least); {SURE}: it does by Holm's correction for all differences of its experiment, too. Accuracy: "
    "of pictures of several labels the mean average precision."
)


def list_metrics(results: Sequence[Result]) -> list[Metric]:
    """Return the metrics that a study measured, in the order of tables."""
    found = {symbol for result in results for means in result.means.values() for symbol in means}
    return [metric for symbol, metric in METRICS.items() if symbol in found]


def list_attributions(results: Sequence[Result]) -> list[str]:
    """Return the maps of a study by key, as they come."""
    return list(dict.fromkeys(attribution for result in results for attribution in result.means))


def render_table(name: str, results: Sequence[Result]) -> str:
    """Return a study's table in Markdown."""
    metrics = list_metrics(results)
    lines = [f"# {name}", "", MEANING]
    lines += ["", "| pooling | parameters | accuracy |", "|---|--:|--:|"]
    for result in results:
        lines.append(f"| {result.title} | {result.parameters:,} | {format_number(result.accuracy)} |")
    for attribution in list_attributions(results):
        lines += ["", f"## {name_attribution(attribution)}", ""]
        lines += [
            f"| {' | '.join(['pooling', *(f'{metric.symbol} {metric.arrow}' for metric in metrics)])} |",
            f"|---|{'--:|' * len(metrics)}",
        ]
        for result in results:
            if attribution in result.means:
                cells = [show_cell(result, attribution, metric.symbol) for metric in metrics]
                lines.append(f"| {' | '.join([result.title, *cells])} |")
    return "\n".join(lines) + "\n"


def show_cell(result: Result, attribution: str, symbol: str) -> str:
    """Return a mean as the table shows it."""
    text = format_number(result.means[attribution].get(symbol))
    difference = result.differences.get(attribution, {}).get(symbol)
    if result.pooling == FIRST_POOLING or difference is None or not is_certain(difference):
        return text
    return f"**{text}**{SURE if difference['survives_holm'] else ''}"
