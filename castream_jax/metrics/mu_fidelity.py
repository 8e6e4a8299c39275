"""MuFidelity (Bhatt et al., 2020): whether what a map gives to sets of cells is what erasing them costs."""

import jax.numpy as jnp

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.cells import CellSets, random_sets
from castream_jax.metrics.correlation import is_flat, pearson
from castream_jax.metrics.metric import Case, Metric

CHOICES = {"grid": 9, "cells": 16, "sets": 200, "seed": 0}
"""A fifth of the cells, always the same number: else a constant map would correlate by the size of the sets alone."""


def draw_sets() -> CellSets:
    """Return the sets of cells, which serve all images and maps, and infidelity too."""
    return random_sets(CHOICES["grid"], CHOICES["cells"], CHOICES["sets"], CHOICES["seed"])


def measure(case: Case) -> Conversation:
    """Measure it."""
    sums, without = yield from draw_sets().compare(case)
    return {
        "mu_fidelity": pearson(sums, -without),
        "mu_fidelity_undefined": (is_flat(sums) | is_flat(without)).astype(jnp.float32),
    }


MU_FIDELITY = Metric(
    symbol="MuF",
    column="mu_fidelity",
    name="MuFidelity",
    lower_is_better=False,
    meaning=(
        "The correlation, over random sets of cells of a grid, of the map's sum and of the probability that the class "
        "loses when the set is erased. Its passes serve every map."
    ),
    formula="Pearson(Σ map over the set, p \N{MINUS SIGN} p without the set)",
    source="Bhatt et al., 2020",
    columns=("mu_fidelity_undefined",),
    choices=("deletion_end",),
    options={**CHOICES, "correlation": "Pearson"},
    undefined="mu_fidelity_undefined",
    by_default=False,
    measure=measure,
)
