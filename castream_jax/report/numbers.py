"""The numbers of a report, each under a name of its own, as loggers take them."""

from castream_jax.report.schema import Report


def name_numbers(report: Report) -> dict[str, float]:
    """Return accuracies and means in percent: "accuracy/ca", "top5_accuracy/ca", "mean_average_precision/ca" of
    pictures of several labels, "AD/grad_cam/ca"; what has no value is left out.
    """
    kinds = {
        "accuracy": report["accuracy"],
        "top5_accuracy": report.get("top5_accuracy", {}),
        "mean_average_precision": report.get("mean_average_precision", {}),
    }
    numbers = {f"{kind}/{pooling}": value for kind, found in kinds.items() for pooling, value in found.items()}
    for line in report["rows"]:
        place = f"{line['attribution']}/{line['pooling']}"
        numbers |= {f"{name}/{place}": value for name, value in line.items() if name not in ("attribution", "pooling")}
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
