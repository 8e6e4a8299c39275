"""Damages each file of a checkpoint of the demo's training state, and counts how restoring ends.

    python -m benchmarks.checkpoint_damage [FLIPS]

Each file is deleted, emptied, cut in half, and has a bit flipped at FLIPS places (16 unless told), one at a time.
Wrong arrays end the run with an error.
"""

import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from absl import logging
from flax import nnx

import castream_jax as ca
from castream_jax.config import StageConfig
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.state import as_trees, create_state, split_state
from tests.faults.damage import try_all


def main(flips: int) -> None:
    """Print the counts."""
    logging.set_verbosity(logging.ERROR)
    params, statistics, frozen = split_state(nnx.state(ca.create_model("resnet18_small", num_classes=10)), "stream")
    optimizer = create_optimizer(StageConfig(epochs=1, optimizer="adamw"), 10)
    first = jax.device_get(as_trees(create_state(params, statistics, optimizer), frozen))
    saved = {1: first, 2: jax.tree.map(lambda leaf: np.asarray(leaf + 1, leaf.dtype), first)}
    with tempfile.TemporaryDirectory() as place:
        with Checkpoints(Path(place) / "stream") as checkpoints:
            for step, trees in saved.items():
                checkpoints.save(step, trees, {"stage": "stream"})
        counts = try_all(Path(place) / "stream", saved, Path(place), flips)
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{count:5} {kind}: {outcome}")
    print(f"{counts.total():5} in all; wrong arrays: 0")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
