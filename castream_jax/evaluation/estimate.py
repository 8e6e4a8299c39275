"""What an evaluation would cost, before it starts: its forward passes, and the hours they take on this device."""

import math
import time

import jax
import numpy as np
from flax import nnx

from castream_jax.binding.chunk import settle_chunk
from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.compute.sharding import batched, create_local_mesh, replicate, split_images
from castream_jax.config import Experiment
from castream_jax.data.source import open_split
from castream_jax.evaluation.batch import predict_cost
from castream_jax.evaluation.given_maps import open_given_maps
from castream_jax.experiment.loading import build_network
from castream_jax.experiment.plan import create_plan
from castream_jax.experiment.preprocessing import settled
from castream_jax.models.network import Network
from castream_jax.report.selection import CATEGORIES, IMAGES_PER_CATEGORY

CALIBRATION = 10.0
"""Seconds."""


def estimate(experiment: Experiment) -> str:
    """Return the passes of an evaluation and the predicted hours, after a calibration of some seconds.

    The network need not be trained: what training finds changes no time.

    Raises:
      InputError: no such dataset, weights, attribution or protocol.
    """
    config, data = experiment.evaluation, experiment.data
    source = open_split(data, config.split, with_boxes=True)
    model = build_network(experiment, source.num_classes)
    experiment = settle_chunk(settled(experiment, model), model)
    config, chunk = experiment.evaluation, experiment.evaluation.chunk
    images = min(config.num_images or len(source), len(source))
    size = (experiment.data.image_size, experiment.data.image_size)
    given = (open_given_maps(config.maps).name,) if config.maps else ()
    passes, for_maps = predict_cost(model, create_plan(experiment, model, given), size)
    rate = measure_rate(model, size, chunk) * jax.process_count()
    # What the report shows is explained once more, in whole batches, on the devices of one process.
    chosen = min(images, CATEGORIES * IMAGES_PER_CATEGORY + config.num_figures)
    shown = -(-chosen // config.batch_size) * config.batch_size
    seconds = ((images + shown * jax.process_count()) * passes + len(source)) / rate
    minutes = math.ceil(seconds / 60)
    took = f"{seconds / 3600:,.1f} hours" if minutes >= 60 else f"{minutes} minute{'s' * (minutes > 1)}"
    masks = f", {for_maps:,} of them for the maps" if for_maps else ""
    return (
        f"{images:,} images, and {shown:,} once more for the report, at most {passes:,} forward passes each{masks}, "
        f"and {len(source):,} for the accuracies: {(images + shown) * passes + len(source):,} in all.\n"
        f"{rate:,.0f} passes a second on {jax.device_count()} x {jax.devices()[0].device_kind}, in chunks of "
        f"{chunk} (measured for {CALIBRATION:g} s on those of one process): at most {took}, "
        "less what flat channels and a tolerance save."
    )


def measure_rate(model: Network, size: tuple[int, int], chunk: int) -> float:
    """Return how many images a second this process's devices take through the network and all its poolings."""
    graphdef, state = nnx.split(model)
    mesh = create_local_mesh()

    def score_images(state: nnx.State, images: jax.Array) -> jax.Array:
        return joint_scores(list(nnx.merge(graphdef, state).poolings().values()))(images)

    score = jax.jit(split_images(score_images, mesh))
    state = replicate(state, mesh)
    images = jax.device_put(
        np.zeros((chunk * mesh.size, *size, model.normalisation.channels), np.float32), batched(mesh)
    )
    score(state, images).block_until_ready()  # compiles
    began, done = time.monotonic(), 0
    while time.monotonic() - began < CALIBRATION:
        score(state, images).block_until_ready()
        done += len(images)
    return done / (time.monotonic() - began)
