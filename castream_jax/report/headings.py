"""What stands above the parts of a report's tables: which poolings they compare, and what marks mean."""

from castream_jax import wording
from castream_jax.report.schema import Report
from castream_jax.wording import name_pooling


def list_poolings(report: Report) -> list[str]:
    """Return the poolings that a report is of, in the order of the table."""
    return wording.list_poolings((line["attribution"], line["pooling"]) for line in report["rows"])


def count_differences(report: Report) -> int:
    """Return how many differences a report tests, of all poolings, attributions, null maps and metrics."""
    told = [value for line in report["differences"] for value in line.values() if isinstance(value, dict)]
    return sum(difference["p"] is not None for difference in told)


def name_best(report: Report) -> str:
    """Return what a marked mean is."""
    names = [name_pooling(pooling) for pooling in list_poolings(report)]
    if len(names) == 2:
        return f"the better of {names[0]} and {names[1]}, where the interval of their difference excludes 0"
    first = names[0] if names else "the first"
    return (
        f"the best pooling, where the interval of its difference from {first} excludes 0 ({first} itself: where those "
        "of all others do); the others are not compared with one another"
    )


def name_comparison(report: Report) -> str:
    """Return what the differences are of, as a heading: "CA minus GAP"."""
    first, *others = [name_pooling(pooling) for pooling in list_poolings(report)]
    return f"{others[0] if len(others) == 1 else 'Each pooling'} minus {first}"
