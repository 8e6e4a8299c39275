"""Complexity (Poppi et al., 2021): how much of the image a map keeps."""

from jaxtyping import Array

from castream_jax.metrics.metric import SPREAD, Case, Metric


def measure(case: Case) -> dict[str, Array]:
    """Measure it."""
    return {"complexity": case.saliency.mean((1, 2))}


COMPLEXITY = Metric(
    symbol="Com",
    column="complexity",
    name="Complexity",
    lower_is_better=True,
    meaning=(
        "The mean of the map at the image's size: how much of the image it keeps. A map of zeros keeps nothing, and "
        "has the best."
    ),
    formula="Σ S / n",
    source="Poppi et al., 2021",
    question=SPREAD,
    by_default=False,
    measure=measure,
)
