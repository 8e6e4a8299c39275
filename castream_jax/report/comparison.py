"""Compares two evaluations: castream compare A B [--resamples 10000] [--seed 0].

A and B are work directories, evaluation directories, or the `rows.parquet` of one, beside which its `report.json` lies.
"""

import numpy as np

from castream_jax.errors import escape
from castream_jax.evaluation.rows import mean_present
from castream_jax.report.notes import describe_source
from castream_jax.report.pairing import Pairing, Written, pair_evaluations
from castream_jax.report.statistics import FEWEST, LEVEL, bootstrap_intervals, count_owners
from castream_jax.report.tables import excludes_zero, format_difference, format_interval, format_number
from castream_jax.wording import name_attribution, name_pooling, order_pairs


def render_comparison(a: Written, b: Written, resamples: int, seed: int) -> str:
    """Return both evaluations' means, B minus A, and its 95 % interval (paired bootstrap over images), as text.

    Raises:
      InputError: they do not compare (`pair_evaluations`).
    """
    pairing = pair_evaluations(a, b)
    texts = []
    for name, written in (("A", a), ("B", b)):
        texts += [f"{name}  {escape(str(written.path))}", f"   {describe_source(written.report)}"]
    settings = [written.report["settings"] for written in (a, b)]
    names = dict.fromkeys([*settings[0], *settings[1]])
    if differ := [name for name in names if settings[0].get(name) != settings[1].get(name)]:
        (ours, theirs) = ({name: each.get(name, "not said") for name in differ} for each in settings)
        told = "; ".join(f"{name} {ours[name]} in A, {theirs[name]} in B" for name in differ)
        texts.append(escape(f"Settings: {told}."))
    counts = f"{a.report['num_images']:,} in A and {b.report['num_images']:,} in B"
    rows = next(len(ours) for cell in pairing.cells.values() for ours, _ in cell.values())
    of = "" if pairing.owners is None else f"{rows:,} classes of the "
    texts += [f"In percent, means of {of or 'the '}{pairing.images:,} images in common, of {counts}.", ""]
    texts += _align(_tabulate(pairing, resamples, seed))
    for name, pairs in zip(("A", "B"), pairing.unpaired):
        texts += [f"Only in {name}: {', '.join(pairs)}."] if pairs else []
    if pairing.incomparable:
        texts.append(f"Not compared, for A and B computed them by other choices: {', '.join(pairing.incomparable)}.")
    marked = f"* the interval excludes 0, of {FEWEST} images or more."
    texts.append(f"{marked} Paired percentile bootstrap, {resamples:,} resamples, seed {seed}.")
    return "\n".join(texts)


def _tabulate(pairing: Pairing, resamples: int, seed: int) -> list[list[str]]:
    """Return the heading and a line for each attribution, pooling and metric."""
    order = [(a, pooling) for a, poolings in order_pairs(list(pairing.cells)).items() for pooling in poolings]
    values = [pairing.cells[pair][metric] for pair in order for metric in pairing.cells[pair]]
    differences = np.stack([theirs - ours for ours, theirs in values], axis=1)  # [n cells]
    intervals = iter(bootstrap_intervals(differences, resamples, seed, pairing.owners))
    lines = [["attribution", "pooling", "metric", "A", "B", "B - A", f"{100 * LEVEL:g} % interval  "]]
    for attribution, pooling in order:
        names = [name_attribution(attribution), name_pooling(pooling)]
        for metric, (ours, theirs) in pairing.cells[attribution, pooling].items():
            interval = next(intervals)
            means = [format_number(mean_present(ours)), format_number(mean_present(theirs))]
            enough = count_owners(theirs - ours, pairing.owners) >= FEWEST
            mark = " *" if enough and excludes_zero(interval) else "  "
            change = format_difference(mean_present(theirs - ours))
            lines.append([*names, metric.heading, *means, change, format_interval(interval) + mark])
            names = ["", ""]
    return lines


def _align(lines: list[list[str]]) -> list[str]:
    """Return lines of text, a rule above and below: names to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    texts = []
    for line in lines:
        names = [text.ljust(width) for text, width in zip(line[:3], widths[:3])]
        numbers = [text.rjust(width) for text, width in zip(line[3:], widths[3:])]
        texts.append("  ".join(names + numbers).rstrip())
    return [texts[0], rule, *texts[1:], rule]


if __name__ == "__main__":
    from castream_jax.cli.compare import main

    main()
