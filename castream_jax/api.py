"""The public surface for one model: its maps, and what they are worth."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from castream_jax.errors import InputError, choose
from castream_jax.evaluation import maps as attribution_maps
from castream_jax.evaluation.chunk import choose_chunk
from castream_jax.evaluation.measures import measure_maps
from castream_jax.metrics.protocol import Protocol, get_protocol
from castream_jax.models.classifier import Classifier


def attribute(
    model: Classifier,
    images: Any,
    labels: Any,
    method: str,
    target: str | None = None,
    chunk: int = 0,
) -> Array:
    """Return saliency maps [B h w], float32 in [0, 1], at the resolution of the feature map.

    Args:
      model: the network to explain.
      images: [B H W 3] normalised float32 images.
      labels: [B] the class to explain for each image. Raw attention is the same for every class.
      method: "grad_cam", "grad_cam_pp", "score_cam", "attention", or "attention_scores" (before the softmax).
      target: the feature map that CAMs start from; by default the paper's: "stage4" for ResNet, "branch"
        (inside the last block) for ConvNeXt, which also offers "stage4".
      chunk: masked images in one forward pass of Score-CAM; 0: what suits the device's memory.

    Raises:
      InputError: an unknown method or target, a label out of range, NaN pixels, wrong shapes.

    Source: METHOD 2.
    """
    choose("method", method, attribution_maps.METHODS)
    attribution_maps.check_method(method, model)
    images, labels, chunk = _check_batch(model, images, labels, chunk)
    graphdef, state = nnx.split(model)
    return _attribute(graphdef, state, images, labels, method, model.target(target), chunk)


@functools.partial(jax.jit, static_argnames=("graphdef", "method", "target", "chunk"))
def _attribute(graphdef, state, images, labels, method, target, chunk):
    network = nnx.merge(graphdef, state)
    found = attribution_maps.explain(
        {"": network}, images, network.features(images), {"": labels}, [method], target, chunk
    )
    return found.maps[method, ""]


def evaluate_maps(
    model: Classifier, images: Any, labels: Any, maps: Any, protocol: str | Protocol = "castream", chunk: int = 0
) -> dict[str, Array]:
    """Return what each map is worth to the model, as arrays with one entry for each image.

    Args:
      model: the network that the maps explain.
      images: [B H W 3] normalised float32 images.
      labels: [B] the classes whose probability is measured.
      maps: [B h w] saliency maps in [0, 1], upsampled to the images here.
      protocol: "castream", "rise", or a `Protocol`. The class is `labels` under every protocol.
      chunk: images in one forward pass; 0: what suits the device's memory.

    Returns:
      `average_drop`, `average_gain`, `average_increase`, `insertion`, `deletion` (fractions, [B]),
      `insertion_curve`, `deletion_curve` (probabilities, [B points]), and the `probability` and
      `masked_probability` they come from.

    Raises:
      InputError: an unknown protocol, a label out of range, NaN pixels, maps out of range, wrong shapes.

    Source: METHOD 3.
    """
    protocol = get_protocol(protocol) if isinstance(protocol, str) else protocol
    images, labels, chunk = _check_batch(model, images, labels, chunk)
    maps = np.asarray(maps, np.float32)
    if maps.ndim != 3 or len(maps) != len(images) or not maps.size:
        raise InputError(f"maps have shape {maps.shape}: expected [B h w] with B = {len(images)}, as the images.")
    if not (np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1):
        raise InputError(f"maps are in {np.min(maps)}..{np.max(maps)}: expected finite values in 0..1 (min-max them).")
    graphdef, state = nnx.split(model)
    return _evaluate(graphdef, state, images, labels, jnp.asarray(maps), protocol, chunk)


@functools.partial(jax.jit, static_argnames=("graphdef", "protocol", "chunk"))
def _evaluate(graphdef, state, images, labels, maps, protocol, chunk):
    network = nnx.merge(graphdef, state)
    source = jnp.arange(len(images))
    score_fn = attribution_maps.joint_probabilities([network])
    return measure_maps(score_fn, images, maps, source, labels, protocol, network.normalisation, chunk)


def _check_batch(model: Classifier, images: Any, labels: Any, chunk: int) -> tuple[Array, Array, int]:
    """Return images and labels as arrays on the device and the chunk to use, or raise `InputError`."""
    pixels, classes = np.asarray(images), np.asarray(labels)
    if chunk < 0:
        raise InputError(f"chunk is {chunk}: expected 1 or more images, or 0 (what suits the device's memory).")
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or not pixels.size:
        raise InputError(f"images have shape {pixels.shape}: expected [B H W 3], channels last, B at least 1.")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(f"images are {pixels.dtype}: expected normalised floats, (pixels / 255 - mean) / std.")
    if not np.isfinite(pixels).all():
        bad = sorted(set(np.argwhere(~np.isfinite(pixels))[:, 0].tolist()))
        raise InputError(f"images {bad} of the batch hold NaN or infinite pixels: expected finite values.")
    if classes.shape != pixels.shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        raise InputError(
            f"labels are {classes.dtype} of shape {classes.shape}: expected {len(pixels)} integers, one for each image."
        )
    if classes.min() < 0 or classes.max() >= model.num_classes:
        wrong = classes[(classes < 0) | (classes >= model.num_classes)][0]
        raise InputError(f"label {wrong} is out of range: {model.name} has classes 0 to {model.num_classes - 1}.")
    chunk = chunk or choose_chunk(model, pixels.shape[1:3])
    return jnp.asarray(pixels, jnp.float32), jnp.asarray(classes, jnp.int32), chunk
