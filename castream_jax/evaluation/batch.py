"""One compiled program for a batch of images: features, maps of every attribution and pooling, and their measures.

    images -> features -> maps -> measures

Networks that share a trunk share its passes: one over the images, one over Score-CAM's masked images, and one over
what is measured of the null maps. Each device works on its own images and waits for no other.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from castream_jax.config import EvaluationConfig
from castream_jax.evaluation.baselines import NULL_MAPS, null_maps
from castream_jax.evaluation.cost import count_passes
from castream_jax.evaluation.maps import (
    ComputedMaps,
    MapKey,
    compute_maps,
    explained_keys,
    joint_labels,
    joint_probabilities,
)
from castream_jax.evaluation.measures import measure_maps
from castream_jax.evaluation.rows import ROWS
from castream_jax.masking import upsample
from castream_jax.metrics import localisation
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.answers import predict
from castream_jax.models.classifier import Classifier
from castream_jax.names import LOCALISATION
from castream_jax.sharding import DATA, split_images

SEED = 0
"""Of the random null map."""


def map_keys(model: Classifier, attributions: tuple[str, ...]) -> tuple[MapKey, ...]:
    """Return the maps of an evaluation in the order of its table; raises as `explained_keys` does."""
    poolings = model.poolings()
    return (*explained_keys(poolings, attributions), *((name, pooling) for name in NULL_MAPS for pooling in poolings))


def create_evaluate_batch(
    graphdef: nnx.GraphDef, config: EvaluationConfig, protocol: Protocol, mesh: Mesh
) -> Callable[[nnx.State, dict[str, Any]], dict[str, Array]]:
    """Return the compiled function from a model's state and a batch to everything that is measured.

    The batch is of `evaluation_batches`, without ids. Returns a dictionary, M being the number of maps (`map_keys`) and
    E that of the explained ones, which come first: `maps` [E B h w], `predicted_class`, `explained_class`, `flat`,
    `nan`, `all_negative` [M B], every measure of `measure_maps`, [M B] or [M B points], those of where the object is
    [M B] if the batch has `truth`, `score_cam_bound` and `score_cam_left_out` [M B], NaN but for Score-CAM, and `cost`,
    a `Cost` as an array for each device.
    """

    def evaluate_batch(state: nnx.State, batch: dict[str, Array]) -> dict[str, Array]:
        model: Classifier = nnx.merge(graphdef, state)
        networks = model.poolings()
        images = model.normalisation(batch["images"])
        features = model.features(images)
        predicted = jnp.stack([predict(network.head(features)[0]) for network in networks.values()])  # [S B]
        classes = jnp.broadcast_to(batch["labels"], predicted.shape)
        asked = predicted if protocol.explained_class == "predicted" else classes
        explained = jnp.maximum(asked, 0)  # of a network without an answer any class: all are NaN
        target = model.target(config.target or None)
        labels = dict(zip(networks, explained, strict=True))
        tolerance = config.score_cam_tolerance
        found = compute_maps(networks, images, features, labels, config.attributions, target, config.chunk, tolerance)
        measured = measure_all(networks, images, found, explained, batch, protocol, config.chunk)
        pooling = np.array([list(networks).index(name) for _, name in map_keys(model, config.attributions)])  # [M]
        cost = count_passes(
            protocol,
            found,
            features[target],
            batch["valid"],
            (images.shape[1], images.shape[2]),
            len(networks),
            len(NULL_MAPS),
        )
        described = describe_maps(found, len(pooling), tolerance > 0)
        classes_of = {"predicted_class": predicted[pooling], "explained_class": asked[pooling]}
        return measured | described | classes_of | {"cost": cost[None]}

    def sharded(state: nnx.State, batch: dict[str, Array]) -> dict[str, Array]:
        by_image = PartitionSpec(None, DATA)
        specs = dict.fromkeys(RESULTS, by_image) | {"cost": PartitionSpec(DATA)}
        if "truth" not in batch:
            specs = {name: spec for name, spec in specs.items() if name not in LOCALISED}
        return split_images(evaluate_batch, mesh, specs)(state, batch)

    return jax.jit(sharded)


LOCALISED = tuple(metric.column for metric in LOCALISATION)
RESULTS = (*(name for name in ROWS.names if name not in ("id", "label", "attribution", "pooling")), "maps")


def measure_all(
    networks: dict[str, Classifier],
    images: Float[Array, "B H W 3"],
    found: ComputedMaps,
    explained: Int[Array, "S B"],
    batch: dict[str, Array],
    protocol: Protocol,
    chunk: int,
) -> dict[str, Array]:
    """Return every measure of the explained maps and of the null maps, [M B ...]."""
    members = list(networks.values())
    size = (images.shape[1], images.shape[2])
    maps = jnp.stack(list(found.maps.values()))  # [E B h w]
    nothing = null_maps(batch["indices"], (maps.shape[2], maps.shape[3]), size, SEED)  # [B H W] each
    saliency = jnp.concatenate([upsample(maps, size), jnp.stack(list(nothing.values()))])  # [J B H W]
    columns = joint_labels(members, explained)  # [S B]
    # A map of one pooling is measured under that one alone: its column is there S times, for the shape.
    pooling = np.array([list(networks).index(name) for _, name in found.maps])  # [E]
    own = jnp.repeat(columns[pooling][..., None], len(members), axis=-1)  # [E B S]
    every = jnp.broadcast_to(columns.T, (len(nothing), *columns.T.shape))  # [4 B S]
    jobs, b = saliency.shape[:2]
    flat, source = saliency.reshape(jobs * b, *size), jnp.tile(jnp.arange(b), jobs)
    labels = jnp.concatenate([own, every]).reshape(jobs * b, -1)
    score_fn = joint_probabilities(members)
    measured = measure_maps(score_fn, images, flat, source, labels, protocol, members[0].normalisation, chunk)
    if "truth" in batch:
        places = measure_localisation(flat, batch["truth"][source])
        measured |= {name: jnp.repeat(values[:, None], len(members), axis=1) for name, values in places.items()}
    shaped = {name: values.reshape(jobs, b, *values.shape[1:]) for name, values in measured.items()}
    return {name: by_key(values, len(maps)) for name, values in shaped.items()}


def describe_maps(found: ComputedMaps, count: int, pruned: bool) -> dict[str, Array]:
    """Return the explained maps, and what else there is to say of all `count` maps, null maps included."""
    maps, nan = jnp.stack(list(found.maps.values())), jnp.stack(list(found.nan.values()))  # [E B h w], [E B]
    bound = left_out = jnp.full((count, maps.shape[1]), jnp.nan)
    if found.score_cam is not None and pruned:
        places = np.array([i for i, key in enumerate(found.maps) if key[0] == "score_cam"])
        bound = bound.at[places].set(found.score_cam.bound)
        left_out = left_out.at[places].set(found.score_cam.left_out)
    return {
        "maps": maps,
        "flat": fill((maps.max((2, 3)) == 0) & ~nan, count, False),
        "nan": fill(nan, count, False),
        "all_negative": fill(jnp.stack(list(found.all_negative.values())), count, False),
        "score_cam_bound": bound,
        "score_cam_left_out": left_out,
    }


def measure_localisation(maps: Array, truth: Array) -> dict[str, Array]:
    """Return where maps [J H W] point, against where the objects are, [J H W]; NaN where there is none."""
    return {
        "pointing_game": localisation.pointing_game(maps, truth),
        "energy_pointing_game": localisation.energy_pointing_game(maps, truth),
        "iou_best": localisation.best_mask_iou(maps, truth),
        "iou_fixed": localisation.mask_iou(maps, truth),
    }


def by_key(values: Array, explained: int) -> Array:
    """Return measures [J B S ...] as [M B ...]: of explained maps under their own pooling, of the others under each."""
    own, others = values[:explained, :, 0], jnp.moveaxis(values[explained:], 2, 1)  # [E B ...], [4 S B ...]
    return jnp.concatenate([own, others.reshape(-1, *others.shape[2:])])


def fill(values: Array, count: int, default: bool) -> Array:
    """Return [E B] values as [count B], those of the null maps being `default`."""
    return jnp.concatenate([values, jnp.full((count - len(values), values.shape[1]), default)])


def to_rows(keys: tuple[MapKey, ...], results: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> pa.Table:
    """Return one row for each valid image and map, image by image; what does not apply is null."""
    fields = [name for name in ROWS.names if name in results]
    rows: list[dict[str, Any]] = [
        {"id": str(batch["ids"][i]), "label": batch["labels"][i], "attribution": attribution, "pooling": pooling}
        | {name: none_if_absent(name, results[name][m, i]) for name in fields}
        for i in np.flatnonzero(batch["valid"])
        for m, (attribution, pooling) in enumerate(keys)
    ]
    return pa.Table.from_pylist(rows, schema=ROWS)


ABSENT_AS_NAN = (*LOCALISED, "score_cam_bound", "score_cam_left_out")


def none_if_absent(name: str, value: Any) -> Any:
    """Return a value of a row, None for NaN in a column where that means that there is none."""
    return None if name in ABSENT_AS_NAN and np.isnan(value) else value
