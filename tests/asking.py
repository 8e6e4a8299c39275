"""Methods and metrics of plain functions, without a network: what the program asks for them, asked here."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from castream_jax import METRICS, Normalisation
from castream_jax.attribution.method import Method, Scene, Subject, weighted_sum
from castream_jax.attribution.score_cam import ChannelWeights, score_cam
from castream_jax.binding.measures import measure_maps
from castream_jax.compute.masking import min_max, upsample
from castream_jax.compute.questions import Asked, Panel, converse
from castream_jax.metrics.metric import Case
from tests.networks import MEAN, STD

TABLE = tuple(metric for metric in METRICS.values() if metric.by_default and not metric.needs_truth)


def set_scene(images, feature_map, columns=None, mean=MEAN, std=STD) -> Scene:
    """Return a scene of one feature map."""
    b = len(feature_map)
    columns = jnp.zeros((b, 1), jnp.int32) if columns is None else columns
    images = jnp.zeros((b, 1, 1, 3)) if images is None else images
    return Scene(images, Normalisation(mean, std), {"map": feature_map}, feature_map, jnp.arange(b), columns)


def explain(method: Method, head, feature_map, labels=None, attention=()) -> jax.Array:
    """Return a method's maps [B h w] of a head alone."""
    labels = jnp.zeros(len(feature_map), jnp.int32) if labels is None else labels
    assert method.sums is not None
    return method.scale(method.sums(Subject(set_scene(None, feature_map), head, attention, labels)))


def weighted_map(feature_map, weights) -> jax.Array:
    """Return `ReLU(sum_k w_k A^k)`, min-max scaled."""
    return min_max(jax.nn.relu(weighted_sum(feature_map, weights)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Weighed:
    """What Score-CAM found, and what it asked."""

    weights: ChannelWeights
    maps: jax.Array
    """[S B h w]."""
    asked: jax.Array
    """[B]: masked images of each image, but for the black one."""


def weigh(score_fn, feature_map, images, labels, mean, std, chunk, tolerance=0.0) -> Weighed:
    """Return Score-CAM of S scores of each image, `labels` [B S] being their columns."""
    scene = set_scene(images, feature_map, labels, mean, std)
    method = score_cam(tolerance)
    assert method.ask is not None
    found, asked = converse({"weights": method.ask(scene)}, Panel(score_fn, labels, chunk))
    weights = found["weights"]
    maps = [weighted_map(feature_map, weights.values[..., s]) for s in range(labels.shape[1])]
    return Weighed(weights, jnp.stack(maps), count(asked))


def count(asked: list[Asked]) -> jax.Array:
    """Return how many images were asked for each image of the batch."""
    return sum(one.number for one in asked if one.number is not None)


def measure(score_fn, images, maps, source, labels, protocol, normalisation, chunk, metrics=TABLE):
    """Return every measure [J ...] of J maps, `labels` [J] being the columns of `score_fn` that they explain."""
    with jax.ensure_compile_time_eval():  # what is known stays known
        images, labels = images[source], labels[:, None]
        saliency = upsample(maps, (images.shape[1], images.shape[2]))
    case = Case(images, saliency, jnp.arange(len(maps)), protocol, normalisation)
    found, _ = measure_maps(Panel(score_fn, labels, chunk), case, metrics)
    return {name: values[:, 0] for name, values in found.items()}
