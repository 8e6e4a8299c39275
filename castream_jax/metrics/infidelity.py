"""Infidelity (Yeh et al., 2019), normalised: how far a multiple of the map is from what erasing sets of cells costs."""

import jax.numpy as jnp

from castream_jax.compute.questions import Conversation
from castream_jax.metrics.correlation import FLAT, uncentred
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.mu_fidelity import CHOICES, draw_sets


def measure(case: Case) -> Conversation:
    """Measure it, by what MuFidelity asks."""
    sums, without = yield from draw_sets().compare(case)
    p = case.p[..., None]
    cost = jnp.where(jnp.abs(p - without) <= FLAT * p, 0, p - without)  # else rounding would be explained
    return {"infidelity": 1 - uncentred(sums, cost) ** 2}


INFIDELITY = Metric(
    symbol="INFD",
    column="infidelity",
    name="Infidelity, normalised",
    lower_is_better=True,
    meaning=(
        "The share of what erasing random sets of cells costs that no multiple of the map's sum over the set explains. "
        "A map in 0..1 has no scale of its own, hence the best multiple; and the mean square is divided by that of the "
        "cost. A map of zeros has 1."
    ),
    formula="min over β of Σ (βa \N{MINUS SIGN} b)² / Σ b²; a: Σ map over the set, b: p \N{MINUS SIGN} p without it",
    source="Yeh et al., 2019",
    choices=("deletion_end",),
    options=CHOICES,
    by_default=False,
    measure=measure,
)
