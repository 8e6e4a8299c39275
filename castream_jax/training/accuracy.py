"""Classification accuracy of every pooling of a network, from one pass of its trunk over a split."""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from castream_jax.models.classifier import Classifier
from castream_jax.sharding import batched, replicated, shard_batch

CountStep = Callable[[nnx.State, dict[str, Array]], dict[str, Int[Array, ""]]]


def create_count_step(graphdef: nnx.GraphDef, mesh: Mesh) -> CountStep:
    """Return the compiled step from a model's state and a batch to the number of right answers of each pooling."""

    def count_step(state: nnx.State, batch: dict[str, Array]) -> dict[str, Int[Array, ""]]:
        model: Classifier = nnx.merge(graphdef, state)
        features = model.features(model.normalisation(batch["images"]))
        return {
            name: count_correct(network.head(features)[0], batch["labels"], batch["valid"])
            for name, network in model.poolings().items()
        }

    return jax.jit(count_step, in_shardings=(replicated(mesh), batched(mesh)), out_shardings=replicated(mesh))


def count_correct(logits: Float[Array, "B K"], labels: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, ""]:
    """Return how many of the images that are no padding are classified right."""
    return jnp.sum((logits.argmax(-1) == labels) & valid)


def measure_accuracy(
    count_step: CountStep, state: nnx.State, batches: Iterable[dict[str, np.ndarray]], mesh: Mesh
) -> dict[str, float]:
    """Return the share of a split's images that each pooling classifies right; padding never counts."""
    totals: dict[str, int] = {}
    images = 0
    for batch in batches:
        arrays = shard_batch({name: batch[name] for name in ("images", "labels", "valid")}, mesh)
        for name, correct in count_step(state, arrays).items():
            totals[name] = totals.get(name, 0) + int(correct)
        images += int(batch["valid"].sum())
    return {name: total / images for name, total in totals.items()}
