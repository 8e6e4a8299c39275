"""What an evaluation would cost, before it starts: its forward passes, and the hours they take on this device."""

import math
import time

import jax
import numpy as np
from flax import nnx

from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.compute.sharding import batched, replicate, split_images
from castream_jax.config import Experiment
from castream_jax.evaluation.batch import predict_cost
from castream_jax.experiment.resolved import Resolved, resolve_untrained

CALIBRATION = 10.0
"""Seconds."""


def estimate(experiment: Experiment, shown: int) -> str:
    """Return the passes of an evaluation and the predicted hours, after a calibration of some seconds.

    The network need not be trained: what training finds changes no time.

    Args:
      experiment: the evaluation.
      shown: how many images are explained once more at most, for a report.

    Raises:
      InputError: no such dataset, weights, method, metric or protocol.
    """
    resolved = resolve_untrained(experiment)
    images, accuracies = resolved.images, resolved.counted_images
    passes, for_maps = predict_cost(resolved.model, resolved.plan, resolved.size)
    rate = measure_rate(resolved) * jax.process_count()
    # What is shown is explained in whole batches, on the devices of one process.
    shown = -(-min(images, shown) // resolved.batch_size) * resolved.batch_size
    seconds = ((images + shown * jax.process_count()) * passes + accuracies) / rate
    minutes = math.ceil(seconds / 60)
    took = f"{seconds / 3600:,.1f} hours" if minutes >= 60 else f"{minutes} minute{'s' * (minutes > 1)}"
    masks = f", {for_maps:,} of them for the maps" if for_maps else ""
    what = "classes of images" if resolved.split.has_several_labels else "images"
    return (
        f"{images:,} {what}, and {shown:,} once more for the report, at most {passes:,} forward passes each{masks}, "
        f"and {accuracies:,} for the accuracies: {(images + shown) * passes + accuracies:,} in all.\n"
        f"{word_rate(rate)} passes a second on {jax.device_count()} x {jax.devices()[0].device_kind}, in chunks of "
        f"{resolved.plan.chunk} (measured for {CALIBRATION:g} s on those of one process): at most {took}, "
        "less what flat channels and a tolerance save."
    )


def word_rate(rate: float) -> str:
    """Return passes a second in words; with a decimal where there are few."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def measure_rate(resolved: Resolved) -> float:
    """Return how many images a second this process's devices take through the network and all its poolings."""
    model, mesh = resolved.model, resolved.mesh
    graphdef, state = nnx.split(model)

    def score_images(state: nnx.State, images: jax.Array) -> jax.Array:
        return joint_scores(list(nnx.merge(graphdef, state).poolings().values()))(images)

    score = jax.jit(split_images(score_images, mesh))
    state = replicate(state, mesh)
    shape = (resolved.plan.chunk * mesh.size, *resolved.size, model.normalisation.channels)
    images = jax.device_put(np.zeros(shape, np.float32), batched(mesh))
    score(state, images).block_until_ready()  # compiles
    began, done = time.monotonic(), 0
    while time.monotonic() - began < CALIBRATION:
        score(state, images).block_until_ready()
        done += len(images)
    return done / (time.monotonic() - began)
