"""Binds networks to metrics: AD, AG, AI, insertion and deletion of maps under a protocol."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from castream_jax.errors import InputError
from castream_jax.masking import mask_images, upsample
from castream_jax.metrics import perturbation, recognition
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.inputs import Normalisation
from castream_jax.passes import map_in_chunks

ROUNDING = 1e-3
"""How far scores and maps may leave 0..1: more than float32's rounding makes of 1, less than logits do."""
SCORES = "score_fn gives", "probabilities: a softmax or a sigmoid of logits"
MAPS = "maps hold", "maps in 0..1: of signed ones the positive part, divided by its maximum"


def measure_maps(
    score_fn: Callable[[Float[Array, "n H W 3"]], Float[Array, "n K"]],
    images: Float[Array, "B H W 3"],
    maps: Float[Array, "J h w"],
    source: Int[Array, "J"],
    labels: Int[Array, "J *S"],
    protocol: Protocol,
    normalisation: Normalisation,
    chunk: int,
) -> dict[str, Array]:
    """Return every metric of J maps as arrays over the maps.

    Args:
      score_fn: from normalised images to probabilities.
      images: normalised images.
      maps: saliency maps in [0, 1]; `source` says of which image, `labels` which column of `score_fn` each is of, or
        which S columns: one pass gives them all.
      protocol: the choices that the numbers depend on.
      normalisation: how the images were normalised: masks apply in pixel space, if the protocol says so.
      chunk: images in one forward pass.

    Returns:
      `probability` (p) and `masked_probability` (o), `average_drop`, `average_gain`, `average_increase`,
      `insertion`, `deletion`, all [J *S] fractions, and `insertion_curve`, `deletion_curve` [J *S points].
      Where a map or a score is NaN, or leaves 0..1 inside a `jax.jit`, all of them are NaN.

    Raises:
      InputError: scores or maps leave 0..1, or a label has no column. Inside a `jax.jit` that shows for what the
        function closes over, not for its arguments, whose values are not known then.

    Source: METHOD 3.
    """
    size = (images.shape[1], images.shape[2])
    refuse_outside(maps, *MAPS)
    probe(score_fn, images)
    saliency = upsample(maps, size)  # [J H W]
    columns = labels.reshape(len(maps), -1)  # [J S]
    mean: tuple[float, ...] = normalisation.mean
    std: tuple[float, ...] = normalisation.std
    is_black = protocol.deletion_end == "black"
    erased = (
        jnp.broadcast_to(-jnp.asarray(mean) / jnp.asarray(std), images.shape) if is_black else jnp.zeros_like(images)
    )
    if protocol.mask_space == "normalised":
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)

    def gather(scores: Array) -> Array:
        return scores[source[:, None], columns].reshape(labels.shape)

    def masked_score(index: Array) -> Array:
        masked = mask_images(images[source[index]], saliency[index], mean, std)
        return jnp.take_along_axis(score_fn(masked), columns[index], axis=1)  # [chunk S]

    blurred = perturbation.blur(images, jnp.asarray(protocol.blur_kernel()))
    b = len(images)
    ends = jnp.concatenate([images, blurred, erased[:1]])  # every deletion ends in the same image
    shared = map_in_chunks(lambda i: score_fn(ends[i]), 2 * b + 1, chunk)  # [2B+1 K]
    check_columns(labels, shared.shape[1])
    p, p_blurred, p_erased = gather(shared[:b]), gather(shared[b : 2 * b]), shared[2 * b, labels]
    o = map_in_chunks(masked_score, len(maps), chunk).reshape(labels.shape)
    whole = (saliency == 1).all((1, 2)).reshape(-1, *(1,) * (labels.ndim - 1))
    o = jnp.where(whole, p, o)  # a map of ones keeps the image: what rounding adds is no increase

    step = protocol.step(size[1])
    insertion = perturbation.perturbation_curves(
        score_fn, blurred, images, saliency, source, labels, (p_blurred, p), step, chunk
    )
    deletion = perturbation.perturbation_curves(
        score_fn, images, erased, saliency, source, labels, (p, p_erased), step, chunk
    )
    found = {
        "probability": p,
        "masked_probability": o,
        "average_drop": recognition.average_drop(p, o),
        "average_gain": recognition.average_gain(p, o),
        "average_increase": recognition.average_increase(p, o),
        "insertion": perturbation.area(insertion),
        "deletion": perturbation.area(deletion),
        "insertion_curve": insertion,
        "deletion_curve": deletion,
    }
    scores = jnp.concatenate([p[..., None], o[..., None], insertion, deletion], axis=-1)  # [J *S n]
    refuse_outside(scores, *SCORES)
    is_sound = inside(scores).all(-1) & inside(maps).all((1, 2)).reshape(whole.shape)  # [J *S]
    return {
        name: jnp.where(is_sound[..., None] if name.endswith("curve") else is_sound, values, jnp.nan)
        for name, values in found.items()
    }


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


def probe(score_fn: Callable[[Array], Array], images: Array) -> None:
    """Raise `InputError` before any work if the scores of the first image leave 0..1, where both are known."""
    if is_known(images):
        with jax.ensure_compile_time_eval():
            refuse_outside(score_fn(images[:1]), *SCORES)


def check_columns(labels: Int[Array, "J *S"], columns: int) -> None:
    """Raise `InputError` if labels, as far as they are known, have no column: JAX would take another one."""
    if not is_known(labels):
        return
    least, most = np.asarray(labels).min(), np.asarray(labels).max()
    if least < 0 or most >= columns:
        raise InputError(f"labels are {least} to {most}: score_fn gives the columns 0 to {columns - 1}.")


def is_known(values: Array | np.ndarray) -> bool:
    """Return whether an array's values are there, and not to come when a function that is compiled runs."""
    return not isinstance(values, jax.core.Tracer)
