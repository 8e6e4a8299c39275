"""One compiled program for a batch of images: features, maps of every attribution and pooling, and their measures.

    images -> features -> maps -> measures

Networks that share a trunk share its passes: one over the images, and one over Score-CAM's masked images.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jaxtyping import Array, Int, UInt8

from castream_jax.config import EvaluationConfig
from castream_jax.errors import choose
from castream_jax.evaluation.maps import METHODS, compute_maps, has_map, joint_labels, joint_probabilities
from castream_jax.evaluation.measures import measure_maps
from castream_jax.evaluation.rows import ROWS
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.classifier import Classifier

MapKey = tuple[str, str]
"""(attribution, pooling)."""


def map_keys(model: Classifier, attributions: tuple[str, ...]) -> tuple[MapKey, ...]:
    """Return the maps of an evaluation in the order of its table; `InputError` for an unknown attribution."""
    for attribution in attributions:
        choose("attribution", attribution, METHODS)
    return tuple(
        (attribution, pooling)
        for attribution in attributions
        for pooling, network in model.poolings().items()
        if has_map(attribution, network)
    )


def create_evaluate_batch(
    graphdef: nnx.GraphDef, config: EvaluationConfig, protocol: Protocol
) -> Callable[[nnx.State, UInt8[np.ndarray, "B H W 3"], Int[np.ndarray, "B"]], dict[str, Array]]:
    """Return the compiled function from a model's state, images and labels to everything that is measured.

    Returns a dictionary, M being the number of maps: `maps` [M B h w], `predicted_class` and
    `explained_class` [M B], `flat` [M B], and every measure of `measure_maps`, [M B] or [M B points].
    """

    def evaluate_batch(state: nnx.State, pixels: Array, labels: Array) -> dict[str, Array]:
        model: Classifier = nnx.merge(graphdef, state)
        networks = model.poolings()
        names, members = list(networks), list(networks.values())
        images = model.normalisation(pixels)
        features = model.features(images)
        predicted = jnp.stack([network.head(features)[0].argmax(-1) for network in members])  # [S B]
        explained = predicted if protocol.explained_class == "predicted" else jnp.broadcast_to(labels, predicted.shape)
        maps = compute_maps(
            networks,
            images,
            features,
            dict(zip(names, explained, strict=True)),
            config.attributions,
            model.target(config.target or None),
            config.chunk,
        )
        stacked = jnp.stack(list(maps.values()))  # [M B h w]
        count, batch = stacked.shape[:2]
        pooling = np.array([names.index(key[1]) for key in maps])  # [M]
        measures = measure_maps(
            joint_probabilities(members),
            images,
            stacked.reshape(count * batch, *stacked.shape[2:]),
            jnp.tile(jnp.arange(batch), count),
            joint_labels(members, explained)[pooling].reshape(-1),
            protocol,
            model.normalisation,
            config.chunk,
        )
        return {
            "maps": stacked,
            "predicted_class": predicted[pooling],
            "explained_class": explained[pooling],
            "flat": stacked.max((2, 3)) == 0,
        } | {name: values.reshape(count, batch, *values.shape[1:]) for name, values in measures.items()}

    return jax.jit(evaluate_batch)


def to_rows(
    keys: tuple[MapKey, ...], results: dict[str, np.ndarray], ids: np.ndarray, labels: np.ndarray, valid: np.ndarray
) -> pa.Table:
    """Return one row for each valid image and map, image by image."""
    fields = [name for name in ROWS.names if name in results]
    rows: list[dict[str, Any]] = [
        {"id": str(ids[i]), "label": labels[i], "attribution": attribution, "pooling": pooling}
        | {name: results[name][m, i] for name in fields}
        for i in np.flatnonzero(valid)
        for m, (attribution, pooling) in enumerate(keys)
    ]
    return pa.Table.from_pylist(rows, schema=ROWS)
