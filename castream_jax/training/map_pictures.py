"""Maps of a few validation pictures while a network is trained: whether it looks where it should."""

import itertools

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from castream_jax.attribution.attention import ATTENTION
from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.binding.maps import MapKey, has_map
from castream_jax.binding.program import Plan, Views, run
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.classes.label_sets import PRESENT
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import Source
from castream_jax.drawing.overlay import overlay
from castream_jax.models.network import Network

METHODS = (GRAD_CAM, ATTENTION)
"""Those that need one pass and one gradient of the head."""


class MapPictures:
    """Draws the same pictures whenever it is asked, with the maps that a network's state has of their labels."""

    def __init__(self, source: Source, resize: Resize, count: int, graphdef: nnx.GraphDef):
        count = min(count, len(source))
        batches = evaluation_batches(source, resize, count, range(count), bad_records=BadRecords(source, "skip"))
        batch = next(itertools.islice(batches, 1))
        self._images = batch["images"]
        labels = batch["labels"]
        first = labels if labels.ndim == 1 else (labels == PRESENT).argmax(1)  # of several, the first; 0 of none
        self._labels = np.where(batch["valid"], first, 0)

        def compute(
            state: nnx.State, images: UInt8[Array, "n H W 3"], labels: Int[Array, "n"]
        ) -> dict[MapKey, Float[Array, "n 1 h w"]]:
            model: Network = nnx.merge(graphdef, state)
            networks = model.poolings()
            methods = tuple(method for method in METHODS if any(has_map(method, each) for each in networks.values()))
            plan = Plan(model.target(None), count, methods)
            return run(networks, Views(model.normalisation(images), labels[:, None]), plan).computed.maps

        self._compute = jax.jit(compute)

    def draw(self, state: nnx.State) -> dict[str, UInt8[np.ndarray, "H W 3"]]:
        """Return by name a row of pictures for each map, and first of all the pictures themselves."""
        maps = jax.device_get(self._compute(jax.device_get(state), self._images, self._labels))
        rows = {"pictures": np.concatenate(list(self._images), 1)}
        for (method, pooling), of_images in maps.items():
            drawn = [overlay(image / np.float32(255), each[0]) for image, each in zip(self._images, of_images)]
            rows[f"maps/{method}/{pooling}"] = np.round(255 * np.concatenate(drawn, 1)).astype(np.uint8)
        return rows
