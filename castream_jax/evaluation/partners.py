"""Images of other classes to stand beside each image of an evaluation: a few of the split, of which networks are sure.

Which ones depends on the split and the network alone, not on the batch or the part of an evaluation.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.sources.splits import PartOfRecords
from castream_jax.errors import InputError
from castream_jax.experiment.resolved import Resolved
from castream_jax.models.network import Network

LOOKED_AT = 64
"""Images of the split, evenly spaced, that are looked at."""
KEPT = 8
"""Of these, at most, one of a class."""


@dataclass(frozen=True, eq=False)
class Partners:
    """Images to choose from."""

    images: UInt8[np.ndarray, "n H W 3"]
    labels: Int[np.ndarray, "n"]
    count: int
    """How many stand beside each image."""

    def choose(self, labels: Int[np.ndarray, "B"], indices: Int[np.ndarray, "B"]) -> UInt8[np.ndarray, "B count H W 3"]:
        """Return images of other classes for each image, by its label and its place in the split."""
        others = [np.flatnonzero(self.labels != label) for label in labels]
        steps = np.arange(self.count)
        return self.images[np.stack([own[(index + steps) % len(own)] for own, index in zip(others, indices)])]


def find_partners(resolved: Resolved, count: int) -> Partners:
    """Return the images to choose from: those whose label gets the highest score, the least of all poolings'.

    Raises:
      InputError: what was looked at has images of too few classes.
    """
    source, model = resolved.source, resolved.model
    places = np.linspace(0, len(source) - 1, min(LOOKED_AT, len(source))).round().astype(int)
    looked_at = replace(source, records=PartOfRecords(source, np.unique(places).tolist()))
    graphdef, state = nnx.split(model)

    @jax.jit
    def score(state: nnx.State, images: Array, labels: Int[Array, "B"]) -> Float[Array, "B"]:
        network: Network = nnx.merge(graphdef, state)
        scores = joint_scores(list(network.poolings().values()))(network.normalisation(images))
        own = scores.reshape(len(labels), -1, network.num_classes)
        return jnp.take_along_axis(own, labels[:, None, None], 2).min((1, 2))

    found = []
    watch = BadRecords(looked_at, resolved.experiment.data.on_bad_record, None)
    for batch in evaluation_batches(looked_at, resolved.resize, min(resolved.plan.chunk, LOOKED_AT), bad_records=watch):
        sure = np.asarray(score(state, batch["images"], batch["labels"]))
        found += [(sure[i], batch["labels"][i], batch["images"][i]) for i in np.flatnonzero(batch["valid"])]
    surest: dict[int, UInt8[np.ndarray, "H W 3"]] = {}
    for _, label, image in sorted(found, key=lambda one: -one[0]):
        surest.setdefault(int(label), image)
    if len(surest) <= count:
        raise InputError(
            f"a metric puts {count} images of other classes beside each image, and {len(found)} images of "
            f"{source.name}, evenly spaced, are of {len(surest)} classes: leave out of evaluation.metrics those that "
            "play on mosaics."
        )
    kept = list(surest.items())[:KEPT]
    return Partners(np.stack([image for _, image in kept]), np.array([label for label, _ in kept]), count)
