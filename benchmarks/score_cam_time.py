"""Seconds of Score-CAM for an image, of GAP and CA together: the exact maps, and those from few passes.

    python -m benchmarks.score_cam_time efficientnet_lite0.pypi PICTURES 2

PICTURES is a folder with metadata.csv, as for `benchmarks.photo_accuracy`; the number is of pictures in the batch. The
stream is not trained: its passes cost the same.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.photo_accuracy import read_batches
from castream_jax.attribution.score_cam import score_cam
from castream_jax.binding.chunk import choose_chunk
from castream_jax.binding.program import Plan, Views, run
from castream_jax.weights.known import KNOWN

SHARES = (0.0, 1 / 8, 1 / 16)
ROUNDS = 3


def main(name: str, pictures: Path, count: int) -> None:
    """Print the seconds of each, and how many times less they are than the exact ones."""
    model = ca.load_weights(ca.create_model(KNOWN[name].architecture, "ca"), name)
    images, labels = (part[:count] for part in next(read_batches(pictures, model)))
    graphdef, state = nnx.split(model)
    chunk = choose_chunk(model, (images.shape[1], images.shape[2]))

    def create(share: float) -> Callable[..., list[jax.Array]]:
        plan = Plan(model.target(None), chunk, (score_cam(passes=share),))

        def explain(state: nnx.State, images: jax.Array, labels: jax.Array) -> list[jax.Array]:
            found = run(nnx.merge(graphdef, state).poolings(), Views(images, labels[:, None]), plan)
            return list(found.computed.maps.values())

        return jax.jit(explain)

    programs = {share: create(share) for share in SHARES}
    seconds: dict[float, list[float]] = {share: [] for share in SHARES}
    for turn in range(ROUNDS + 1):
        for share, program in programs.items():
            began = time.monotonic()
            jax.block_until_ready(program(state, images, labels))
            if turn:  # the first one compiles
                seconds[share].append((time.monotonic() - began) / count)
    exact = np.median(seconds[0.0])
    for share, some in seconds.items():
        print(f"share {share:g}: {np.median(some):.3f} s an image, {exact / np.median(some):.2f} times less")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
