"""The numbers of a report, each under a name of its own, as loggers take them."""

from castream_jax.report.schema import Report


def name_numbers(report: Report) -> dict[str, float]:
    """Return accuracies and means in percent: "accuracy/ca", "AD/grad_cam/ca"; what has no value is left out."""
    numbers = {f"accuracy/{pooling}": value for pooling, value in report["accuracy"].items()}
    for line in report["rows"]:
        place = f"{line['attribution']}/{line['pooling']}"
        numbers |= {f"{name}/{place}": value for name, value in line.items() if name not in ("attribution", "pooling")}
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
