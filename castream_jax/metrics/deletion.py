"""Deletion (Petsiuk et al., 2018): from the image to one of a single colour."""

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.curves import End, change_pixels, erased
from castream_jax.metrics.metric import Case, Metric


def measure(case: Case) -> Conversation:
    """Measure it, and keep its curve."""
    return (yield from change_pixels(case, "deletion", End(case.images), erased(case)))


DELETION = Metric(
    symbol="D",
    column="deletion",
    name="Deletion",
    lower_is_better=True,
    meaning=(
        "The area under the class probability while the image is erased, the most salient pixels first. "
        "A good map destroys the class early."
    ),
    source="Petsiuk et al., 2018",
    curve="fraction of pixels deleted",
    choices=("step_rows", "deletion_end", "ties", "area_over"),
    measure=measure,
)
