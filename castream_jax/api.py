"""The public surface for one model: its maps, and what they are worth.

Maps and measures of several images are computed on all of this process's devices, each with its own images.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from castream_jax.attribution.method import Method
from castream_jax.binding.arrays import check_images, check_labels, check_maps
from castream_jax.binding.choices import choose_methods, choose_metrics, configure, list_settings
from castream_jax.binding.chunk import check_chunk, choose_chunk
from castream_jax.binding.maps import explained_keys
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute.on_devices import compute_on_devices
from castream_jax.errors import InputError, choose
from castream_jax.metrics.metric import Metric
from castream_jax.metrics.protocol import Protocol, get_protocol
from castream_jax.models.answers import check_probabilities
from castream_jax.models.network import Network
from castream_jax.notices import say_once

log = logging.getLogger(__name__)

MANY = 4
"""Sizes of images that nothing is said of."""
_SIZES: set[tuple[int, int]] = set()
"""Those that came so far."""


def attribute(
    model: Network,
    images: Any,
    labels: Any,
    method: str | Method,
    target: str | None = None,
    chunk: int = 0,
    **settings: Any,
) -> Array:
    """Return saliency maps [B h w], float32 in [0, 1], at the resolution of the feature map, or of the images where a
    method makes them so.

    A map that is not a number, or has nothing positive for its class, comes as zeros, and the log warns of it.

    Args:
      model: the network to explain.
      images: [B H W C] normalised floats of any dtype, of numpy, JAX or torch; the log warns of what looks as if it was
        not normalised for the network.
      labels: [B] the class to explain for each image. Raw attention is the same for every class.
      method: a key of `METHODS`, as "grad_cam", "score_cam" or "attention"; "my_package.maps:my_cam"; or a `Method`.
      target: the feature map that CAMs start from; by default the paper's: "stage4" for ResNet, "branch"
        (inside the last block) for ConvNeXt, which also offers "stage4".
      chunk: images in one forward pass of what a method asks; 0: what suits the device's memory.
      settings: of the method, as in a config: `score_cam_tolerance=0.05`.

    Raises:
      InputError: an unknown method, setting or target, a label out of range, wrong shapes, pixels that are NaN or that
        no normalised picture has, a network of one class.

    Source: METHOD 2.
    """
    record = _configure(choose_methods([method])[0] if isinstance(method, str) else method, settings)
    plan = Plan(model.target(target), chunk, (record,))
    explained_keys({model.pooling: model}, plan.methods)
    images, labels = _check_batch(model, images, labels, chunk)
    if record.ask is not None:
        plan = replace(plan, chunk=chunk or choose_chunk(model, (images.shape[1], images.shape[2])))
    maps, nan, nothing = compute_on_devices(_attribute, model, (images, labels), plan)
    _warn_of_zeros(record.key, np.asarray(maps), np.asarray(nan), np.asarray(nothing))
    return maps


def _configure(method: Method, settings: dict[str, Any]) -> Method:
    """Return a method with its settings, or raise `InputError` for one that it does not have."""
    known = list_settings(method)
    for name in settings:
        choose(f"setting of {method.key}:", name, known)
    return configure(method, settings)


def _warn_of_zeros(method: str, maps: np.ndarray, nan: np.ndarray, nothing: np.ndarray) -> None:
    """Warn of maps that are zeros, and say why."""
    for failed, what in (
        (nan, "is not a number"),
        (nothing, "has nothing positive for its class"),
        ((maps.max((1, 2)) == 0) & ~nan & ~nothing, "is the same everywhere"),
    ):
        if failed.any():
            log.warning("images %s: the %s map %s; it comes as zeros.", np.flatnonzero(failed).tolist(), method, what)


def _attribute(
    network: Network, images: Array, labels: Array, plan: Plan
) -> tuple[Float[Array, "B h w"], Bool[Array, "B"], Bool[Array, "B"]]:
    """Return the maps, which of them were no numbers, and which had nothing positive."""
    found = run({"": network}, Views(images, labels[:, None]), plan).computed
    key = plan.methods[0].key, ""
    return found.maps[key][:, 0], found.nan[key][:, 0], found.all_negative[key][:, 0]


def evaluate_maps(
    model: Network,
    images: Any,
    labels: Any,
    maps: Any,
    protocol: str | Protocol = "castream",
    chunk: int = 0,
    metrics: Sequence[str | Metric] = (),
) -> dict[str, Array]:
    """Return what each map is worth to the model, as arrays with one entry for each image.

    Args:
      model: the network that the maps explain.
      images: [B H W C] normalised floats, as for `attribute`.
      labels: [B] the classes whose probability is measured.
      maps: [B h w] saliency maps in [0, 1] or truth values, upsampled to the images here.
      protocol: "castream", "rise", or a `Protocol`. The class is `labels` under every protocol.
      chunk: images in one forward pass; 0: what suits the device's memory.
      metrics: by symbol or address, or records; none named: those of the table that need no mask or box.

    Returns:
      By column: of the default metrics `average_drop`, `average_gain`, `average_increase`, `insertion`, `deletion`
      (fractions, [B]), `insertion_curve`, `deletion_curve` (probabilities, [B points]), and the `probability` and
      `masked_probability` they come from. Where the network's probability is not a number, none of them is.

    Raises:
      InputError: an unknown protocol, maps out of range or not numbers, and as for `attribute`.

    Source: METHOD 3.
    """
    protocol = get_protocol(protocol) if isinstance(protocol, str) else protocol
    images, labels = _check_batch(model, images, labels, chunk)
    chunk = chunk or choose_chunk(model, (images.shape[1], images.shape[2]))
    maps = check_maps(maps, len(images))
    plan = Plan(model.target(None), chunk, given=(GIVEN,), metrics=_choose(metrics), protocols=(protocol,))
    indices = jnp.arange(len(images))  # of what is drawn at random, whichever device has an image
    columns = compute_on_devices(_evaluate, model, (images, labels, jnp.asarray(maps), indices), plan)
    if (lost := np.isnan(columns["probability"])).any():
        places = np.flatnonzero(lost).tolist()
        log.warning("The scores of images %s are no numbers, or leave 0..1: their measures are NaN.", places)
    return columns


GIVEN = "given"


def _choose(metrics: Sequence[str | Metric]) -> tuple[Metric, ...]:
    """Return metrics by name or as they are; none named: those of the table that need no mask or box."""
    if not metrics:
        return tuple(metric for metric in choose_metrics(()) if not metric.needs_truth)
    chosen = tuple(choose_metrics([metric])[0] if isinstance(metric, str) else metric for metric in metrics)
    for metric in chosen:
        if metric.needs_method:
            raise InputError(f"metric {metric.symbol!r} makes maps again, by the same method: evaluate.py measures it.")
        if metric.needs_truth:
            raise InputError(f"metric {metric.symbol!r} needs to know where the object is: evaluate.py reads boxes.")
    return chosen


def _evaluate(
    network: Network, images: Array, labels: Array, maps: Array, indices: Array, plan: Plan
) -> dict[str, Array]:
    """Return the columns of the only protocol."""
    views = Views(images, labels[:, None], indices, given={GIVEN: maps})
    return {name: values[0] for name, values in run({"": network}, views, plan).measures[0].items()}


def _check_batch(model: Network, images: Any, labels: Any, chunk: int) -> tuple[Array, Array]:
    """Return images and labels as arrays on the device, or raise `InputError`."""
    check_chunk(chunk)
    check_probabilities(model.name, model.num_classes, model.score)
    pixels = check_images(model, images)
    _note_size(pixels.shape[1], pixels.shape[2])
    return jnp.asarray(pixels), jnp.asarray(check_labels(model, labels, len(pixels)))


def _note_size(height: int, width: int) -> None:
    """Warn once of images of many sizes, each of which takes a compilation."""
    _SIZES.add((height, width))
    if len(_SIZES) > MANY:
        say_once(
            log,
            f"images of {len(_SIZES)} sizes came so far, and each size is compiled anew, which takes seconds to a "
            "minute: resize pictures to a few sizes, as `ca.choose_size` does by their shape.",
            "sizes of images",
        )
