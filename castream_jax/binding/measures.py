"""From maps to measures: every metric of some maps under a protocol, from shared forward passes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from castream_jax.compute.questions import Again, Asked, Conversation, Panel, Question, converse
from castream_jax.errors import InputError
from castream_jax.metrics.metric import Case, Metric

ROUNDING = 1e-3
"""How far scores and maps may leave 0..1: more than float32's rounding makes of 1, less than logits do."""
SCORES = "score_fn gives", "probabilities: a softmax or a sigmoid of logits"
MAPS = "maps hold", "maps in 0..1: of signed ones the positive part, divided by its maximum"


def measure_maps(panel: Panel, case: Case, metrics: Sequence[Metric]) -> tuple[dict[str, Array], list[Asked]]:
    """Return every metric of J maps, and what was asked.

    Args:
      panel: who answers: its columns are the classes explained, Q for each image; one pass gives them all.
      case: the maps, their images and the protocol.
      metrics: what to measure; those of where the object is only if the case knows it.

    Returns:
      Columns of the rows by name, [J Q] fractions and [J Q points] curves, `probability` (p) among them. Where a map or
      a score is NaN, or leaves 0..1 inside a `jax.jit`, all of them are NaN but those of where the object is.

    Raises:
      InputError: scores or maps leave 0..1, or a label has no column. Inside a `jax.jit` that shows for what the
        function closes over, not for its arguments, whose values are not known then.

    Source: METHOD 3.
    """
    refuse_outside(case.saliency, *MAPS)
    probe(panel, case.images)
    _ = case.ranks  # kept from here on: a question's images are made where what is computed does not last
    wanted = [metric for metric in metrics if case.truth is not None or not metric.needs_truth]
    conversations = {"": _ask_p(case)} | {metric.symbol: _measure(metric, case) for metric in wanted}
    found, asked = converse(conversations, panel)
    sound = inside(case.p) & inside(case.saliency).all((1, 2))[:, None]  # [J Q]
    for one in asked:
        if isinstance(one.question, Again):
            continue
        refuse_outside(one.answer, *SCORES)
        sound &= _is_sound(one, case)
    columns: dict[str, Array] = {"probability": jnp.where(sound, case.p, jnp.nan)}
    for metric in wanted:
        for name, values in found[metric.symbol].items():
            columns[name] = _shape(metric, name, values, sound)
    return columns, asked


def _is_sound(asked: Asked, case: Case) -> Bool[Array, "J Q"]:
    """Return for which maps and classes all answers to a question are scores."""
    fine = inside(asked.answer)
    if asked.question.share == "batch":
        return fine.all(0)[case.of]
    owners = len(case.images if asked.question.share == "image" else case.saliency)
    own = fine.reshape(owners, -1, fine.shape[-1]).all(1)
    return own[case.of] if asked.question.share == "image" else own


def _ask_p(case: Case) -> Conversation:
    """Ask for the scores of the images themselves."""
    count = len(case.images)
    (case.answers["p"],) = yield [Question(("images",), lambda i: case.images[i], count, "image", lambda i: i)]


def _measure(metric: Metric, case: Case) -> Any:
    if metric.measure is None:
        raise InputError(f"the metric {metric.symbol!r} was read from a file and cannot be measured: name its record.")
    return metric.measure(case)


def _shape(metric: Metric, name: str, values: Array, sound: Bool[Array, "J Q"]) -> Array:
    """Return a metric's column as [J Q ...], NaN where it rests on what is no score."""
    j, q = sound.shape
    if values.shape[:1] != (j,) or (values.ndim > 1 and values.shape[1] != q):
        raise InputError(
            f"the metric {metric.symbol!r} gives {name!r} of shape {values.shape}: expected [{j} {q} …], a number for "
            f"each map and class, or [{j}] where the network does not matter."
        )
    if values.ndim == 1:
        return jnp.repeat(values[:, None], q, axis=1)
    return jnp.where(sound.reshape(j, q, *(1,) * (values.ndim - 2)), values, jnp.nan)


def inside(values: Float[Array, "*n"]) -> Bool[Array, "*n"]:
    """Return where values are in 0..1 but for rounding, and numbers."""
    return (values >= -ROUNDING) & (values <= 1 + ROUNDING)


def refuse_outside(values: Array | np.ndarray, what: str, expected: str) -> None:
    """Raise `InputError` for values outside of 0..1, if they are known already; NaN is passed on."""
    if not is_known(values):
        return
    numbers = np.asarray(values, np.float32)
    low, high = np.fmin.reduce(numbers, axis=None), np.fmax.reduce(numbers, axis=None)
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise InputError(f"{what} values in {low:.4g}..{high:.4g}: expected {expected}.")


def probe(panel: Panel, images: Array) -> None:
    """Raise `InputError` before any work if the scores of the first image leave 0..1 or lack a column, as far as both
    are known: JAX would take another column.
    """
    if not is_known(images):
        return
    with jax.ensure_compile_time_eval():
        scores = panel.score_fn(images[:1])[:, : panel.logits_from]
        refuse_outside(scores, *SCORES)
    if is_known(panel.columns):
        least, most = np.asarray(panel.columns).min(), np.asarray(panel.columns).max()
        if least < 0 or most >= scores.shape[1]:
            raise InputError(f"labels are {least} to {most}: score_fn gives the columns 0 to {scores.shape[1] - 1}.")


def is_known(values: Array | np.ndarray) -> bool:
    """Return whether an array's values are there, and not to come when a function that is compiled runs."""
    return not isinstance(values, jax.core.Tracer)
