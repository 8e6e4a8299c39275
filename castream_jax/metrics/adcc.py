"""ADCC (Poppi et al., 2021): average drop, coherency and complexity in one number."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.compute.questions import Conversation
from castream_jax.compute.together import together
from castream_jax.metrics.average_drop import average_drop
from castream_jax.metrics.coherency import find_coherency
from castream_jax.metrics.masked import MASKING, masked_probability
from castream_jax.metrics.metric import Case, Metric


def harmonic_mean(*terms: Float[Array, "J Q"]) -> Float[Array, "J Q"]:
    """Return the harmonic mean of each place's terms; 0 where one is 0, NaN where one is NaN."""
    values = jnp.stack(terms)
    found = jnp.where((values > 0).all(0), len(terms) / (1 / jnp.where(values > 0, values, 1)).sum(0), 0)
    return jnp.where(jnp.isnan(values).any(0), jnp.nan, found)


def measure(case: Case) -> Conversation:
    """Measure it."""
    o, coherency = yield from together(masked_probability(case), find_coherency(case))
    drop = average_drop(case.p, o)
    coherency, complexity = (jnp.broadcast_to(v[:, None], drop.shape) for v in (coherency, case.saliency.mean((1, 2))))
    return {"adcc": harmonic_mean(coherency, 1 - complexity, 1 - drop)}


ADCC = Metric(
    symbol="ADCC",
    column="adcc",
    name="ADCC",
    lower_is_better=False,
    meaning=(
        "The harmonic mean of coherency, of what complexity leaves, and of what average drop leaves; 0 where one is 0. "
        "Of each image, as in its authors' code; a table's is the mean over images."
    ),
    formula="3 / (1 / Coh + 1 / (1 \N{MINUS SIGN} Com) + 1 / (1 \N{MINUS SIGN} AD))",
    source="Poppi et al., 2021",
    choices=MASKING,
    needs_method=True,
    by_default=False,
    measure=measure,
)
