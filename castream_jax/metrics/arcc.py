"""ARCC (2026, arXiv 2605.14641): ADCC with ROAD in the place of average drop."""

import jax.numpy as jnp

from castream_jax.compute.questions import Conversation
from castream_jax.compute.together import together
from castream_jax.metrics.adcc import harmonic_mean
from castream_jax.metrics.coherency import find_coherency
from castream_jax.metrics.curves import least_first, most_first
from castream_jax.metrics.metric import Case, Metric
from castream_jax.metrics.road import OPTIONS, TENTHS, fill_in

SOME = (2, 4, 6, 8)
"""Tenths of the pixels that are filled in."""


def measure(case: Case) -> Conversation:
    """Measure it, by what ROAD asks."""
    least, most, coherency = yield from together(
        fill_in(case, least_first(case)), fill_in(case, most_first(case)), find_coherency(case)
    )
    points = jnp.asarray([TENTHS.index(tenth) for tenth in SOME])
    road = jnp.clip((least - most)[..., points].mean(-1), 0, 1)
    coherency, complexity = (jnp.broadcast_to(v[:, None], road.shape) for v in (coherency, case.saliency.mean((1, 2))))
    return {"arcc": harmonic_mean(coherency, 1 - complexity, road)}


ARCC = Metric(
    symbol="ARCC",
    column="arcc",
    name="ARCC",
    lower_is_better=False,
    meaning=(
        "The harmonic mean of coherency, of what complexity leaves, and of ROAD over 0.2, 0.4, 0.6 and 0.8 of the "
        "pixels; 0 where one is 0, and where ROAD is below."
    ),
    formula="3 / (1 / Coh + 1 / (1 \N{MINUS SIGN} Com) + 1 / R), R = ROAD in 0..1",
    source="arXiv 2605.14641",
    choices=("ties",),
    options={**OPTIONS, "tenths": SOME},
    needs_method=True,
    by_default=False,
    measure=measure,
)
