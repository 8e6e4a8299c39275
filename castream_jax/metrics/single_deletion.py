"""Single deletion (Hesse et al., 2024): whether a map ranks the cells of a grid as erasing each by itself does."""

import jax.numpy as jnp

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.cells import single_cells
from castream_jax.metrics.correlation import is_flat, spearman
from castream_jax.metrics.metric import Case, Metric

SIDE = 4
"""Of the grid."""


def measure(case: Case) -> Conversation:
    """Measure it."""
    sums, without = yield from single_cells(SIDE).compare(case)
    return {
        "single_deletion": spearman(sums, -without),
        "single_deletion_undefined": (is_flat(sums) | is_flat(without)).astype(jnp.float32),
    }


SINGLE_DELETION = Metric(
    symbol="SD",
    column="single_deletion",
    name="Single deletion",
    lower_is_better=False,
    meaning=(
        "The rank correlation, over the cells of a grid, of the map's sum and of the probability that the class loses "
        "when the cell is erased. Its passes serve every map. Its authors take the logit, and a network that was "
        "fine-tuned on images with erased cells (IDSDS); here it is the probability, and the network as it is."
    ),
    formula="Spearman(Σ map over the cell, p \N{MINUS SIGN} p without the cell)",
    source="Hesse et al., 2024",
    columns=("single_deletion_undefined",),
    choices=("deletion_end",),
    options={"grid": SIDE, "score": "probability"},
    undefined="single_deletion_undefined",
    by_default=False,
    measure=measure,
)
