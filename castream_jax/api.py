"""The public surface for one model: its maps, and what they are worth.

Maps and measures of several images are computed on all of this process's devices, each with its own images.
"""

import logging
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from castream_jax.arrays import check_images, check_labels, check_maps
from castream_jax.errors import choose
from castream_jax.evaluation import maps as attribution_maps
from castream_jax.evaluation.chunk import check_chunk, choose_chunk
from castream_jax.evaluation.measures import measure_maps
from castream_jax.metrics.protocol import Protocol, get_protocol
from castream_jax.models.answers import check_probabilities
from castream_jax.models.classifier import Classifier
from castream_jax.placement import compute_on_devices

log = logging.getLogger(__name__)


def attribute(
    model: Classifier,
    images: Any,
    labels: Any,
    method: str,
    target: str | None = None,
    chunk: int = 0,
) -> Array:
    """Return saliency maps [B h w], float32 in [0, 1], at the resolution of the feature map.

    A map that is not a number, or has nothing positive for its class, comes as zeros, and the log warns of it.

    Args:
      model: the network to explain.
      images: [B H W 3] normalised floats of any dtype, of numpy, JAX or torch; the log warns of what looks as if it was
        not normalised for the network.
      labels: [B] the class to explain for each image. Raw attention is the same for every class.
      method: "grad_cam", "grad_cam_pp", "score_cam", "attention", or "attention_scores" (before the softmax).
      target: the feature map that CAMs start from; by default the paper's: "stage4" for ResNet, "branch"
        (inside the last block) for ConvNeXt, which also offers "stage4".
      chunk: masked images in one forward pass of Score-CAM; 0: what suits the device's memory.

    Raises:
      InputError: an unknown method or target, a label out of range, wrong shapes, pixels that are NaN or that no
        normalised picture has, a network of one class.

    Source: METHOD 2.
    """
    choose("method", method, attribution_maps.METHODS)
    attribution_maps.check_method(method, model)
    images, labels = _check_batch(model, images, labels, chunk)
    if method == "score_cam":
        chunk = chunk or choose_chunk(model, (images.shape[1], images.shape[2]))
    maps, nan, nothing = compute_on_devices(_attribute, model, (images, labels), method, model.target(target), chunk)
    _warn_of_zeros(method, np.asarray(maps), np.asarray(nan), np.asarray(nothing))
    return maps


def _warn_of_zeros(method: str, maps: np.ndarray, nan: np.ndarray, nothing: np.ndarray) -> None:
    """Warn of maps that are zeros, and say why."""
    for failed, what in (
        (nan, "is not a number"),
        (nothing, "has nothing positive for its class"),
        ((maps.max((1, 2)) == 0) & ~nan & ~nothing, "is the same everywhere"),
    ):
        if failed.any():
            log.warning("images %s: the %s map %s; it comes as zeros.", np.flatnonzero(failed).tolist(), method, what)


def _attribute(network: Any, images: Any, labels: Any, method: str, target: Any, chunk: int) -> Any:
    found = attribution_maps.compute_maps(
        {"": network}, images, network.features(images), {"": labels}, [method], target, chunk
    )
    return found.maps[method, ""], found.nan[method, ""], found.all_negative[method, ""]


def evaluate_maps(
    model: Classifier, images: Any, labels: Any, maps: Any, protocol: str | Protocol = "castream", chunk: int = 0
) -> dict[str, Array]:
    """Return what each map is worth to the model, as arrays with one entry for each image.

    Args:
      model: the network that the maps explain.
      images: [B H W 3] normalised floats, as for `attribute`.
      labels: [B] the classes whose probability is measured.
      maps: [B h w] saliency maps in [0, 1] or truth values, upsampled to the images here.
      protocol: "castream", "rise", or a `Protocol`. The class is `labels` under every protocol.
      chunk: images in one forward pass; 0: what suits the device's memory.

    Returns:
      `average_drop`, `average_gain`, `average_increase`, `insertion`, `deletion` (fractions, [B]),
      `insertion_curve`, `deletion_curve` (probabilities, [B points]), and the `probability` and
      `masked_probability` they come from. Where the network's probability is not a number, none of them is.

    Raises:
      InputError: an unknown protocol, maps out of range or not numbers, and as for `attribute`.

    Source: METHOD 3.
    """
    protocol = get_protocol(protocol) if isinstance(protocol, str) else protocol
    images, labels = _check_batch(model, images, labels, chunk)
    chunk = chunk or choose_chunk(model, (images.shape[1], images.shape[2]))
    maps = check_maps(maps, len(images))
    return compute_on_devices(_evaluate, model, (images, labels, jnp.asarray(maps)), protocol, chunk)


def _evaluate(network: Any, images: Any, labels: Any, maps: Any, protocol: Protocol, chunk: int) -> Any:
    source = jnp.arange(len(images))
    score_fn = attribution_maps.joint_probabilities([network])
    return measure_maps(score_fn, images, maps, source, labels, protocol, network.normalisation, chunk)


def _check_batch(model: Classifier, images: Any, labels: Any, chunk: int) -> tuple[Array, Array]:
    """Return images and labels as arrays on the device, or raise `InputError`."""
    check_chunk(chunk)
    check_probabilities(model.name, model.num_classes)
    pixels = check_images(model, images)
    return jnp.asarray(pixels), jnp.asarray(check_labels(model, labels, len(pixels)))
