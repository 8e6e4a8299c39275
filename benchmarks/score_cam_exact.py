"""Score-CAM's exact weights of pictures under published weights, kept a batch at a time: what estimates are held to.

    python -m benchmarks.score_cam_exact efficientnet_lite0.pypi PICTURES DIRECTORY 200

Instead of weights an architecture can stand: its weights are then drawn at random. PICTURES is a folder with
metadata.csv, as for `benchmarks.photo_accuracy`. DIRECTORY gets a file for each batch, with the feature maps, and of
the picture's class the weights of all channels, the black image's probability and the picture's own. A run that was
stopped goes on with what is there.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.photo_accuracy import read_batches
from castream_jax.attribution.method import Scene
from castream_jax.attribution.score_cam import weigh_all
from castream_jax.binding.chunk import choose_chunk
from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.compute.questions import Panel, converse
from castream_jax.models.classifier import Classifier
from castream_jax.weights.known import KNOWN

BATCH = 4
"""Few: a run that is stopped loses one."""


def create_program(model: Classifier) -> Callable[..., dict[str, np.ndarray]]:
    """Return the compiled function of images [B H W 3] and labels [B] to what a file holds."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state: nnx.State, images: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        network = nnx.merge(graphdef, state)
        features = network.features(images)
        feature_map, columns = features[network.target(None)], labels[:, None]
        scores = joint_scores([network])
        scene = Scene(images, network.normalisation, features, feature_map, jnp.arange(len(images)), columns)
        panel = Panel(scores, columns, choose_chunk(network, scene.size))
        found, _ = converse({"": weigh_all(scene)}, panel)
        weights, dead = found[""]
        own = jnp.take_along_axis(scores(images), columns, 1)[:, 0]
        return {
            "feature_map": feature_map.astype(jnp.float32),
            "weights": weights.values[..., 0],
            "black": dead[:, 0, 0],
            "probability": own,
            "label": labels,
        }

    return lambda images, labels: jax.device_get(run(state, images, labels))


def load(name: str) -> Classifier:
    """Return the network of known weights, or of an architecture with weights drawn at random."""
    if name in KNOWN:
        return ca.load_weights(ca.create_model(KNOWN[name].architecture, "gap"), name)
    return ca.create_model(name, "gap")


def read_exact(directory: Path) -> dict[str, np.ndarray]:
    """Return what was kept of all pictures, in their order."""
    files = [np.load(path) for path in sorted(directory.glob("*.npz"))]
    return {name: np.concatenate([file[name] for file in files]) for name in files[0].files}


def main(name: str, pictures: Path, directory: Path, count: int) -> None:
    """Compute what is missing of the first `count` pictures."""
    model = load(name)
    run = create_program(model)
    directory.mkdir(parents=True, exist_ok=True)
    place = 0
    for images, labels in read_batches(pictures, model):
        for first in range(0, len(images), BATCH):
            path, place = directory / f"{place:05d}.npz", place + BATCH
            if place > count:
                return
            if path.exists():
                continue
            began, some = time.monotonic(), slice(first, first + BATCH)
            found = run(images[some], labels[some])
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                np.savez(file, **found)
            partial.rename(path)
            print(f"{place} pictures, {(time.monotonic() - began) / len(labels[some]):.1f} s each", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
