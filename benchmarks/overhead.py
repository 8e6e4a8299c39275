"""What Score-CAM, insertion and deletion cost beyond the forward passes that they make."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.explanations import CURVE_CHUNK, PROTOCOL, Pair, create_score_cam
from benchmarks.interleaved import Work, interleave, ratios
from castream_jax.evaluation.maps import joint_probabilities
from castream_jax.passes import even_chunk, map_in_chunks

BAR = 1.05


@dataclass(frozen=True)
class Overhead:
    """The time of a work over the time of its forward passes alone, by the rounds' ratios."""

    work: str
    passes: int
    ratio: float
    quartiles: tuple[float, float]

    def to_line(self) -> str:
        """Return a row of the Markdown table under `HEADER`."""
        low, high = self.quartiles
        verdict = "reached" if self.ratio <= BAR else "MISSED"
        return f"| {self.work} | {self.passes} | {self.ratio:.3f} | {low:.3f}-{high:.3f} | {BAR}: {verdict} |"


HEADER = "| work | passes | time / their forward time | quartiles | bar |\n|---|---:|---:|---:|---|"


def measure_overhead(pair: Pair, channels: int, count: int, chunk: int, rounds: int) -> list[Overhead]:
    """Return both overheads: of Score-CAM for GAP and CA, first image, and of every measure of GAP's Grad-CAM maps."""
    run = create_score_cam(pair, channels, chunk)
    first, label = pair.images[:1], pair.labels[:1]
    passes = int(run(first, label).passes)
    chunk = min(chunk, channels)
    # One more single pass: the image itself, whose features are the masks.
    score_cam = _measure(
        f"Score-CAM, GAP and CA, {channels} channels",
        lambda: run(first, label),
        list(pair.ours.poolings().values()),
        pair.images,
        {chunk: passes // chunk, 1: 1 + passes % chunk},
        rounds,
    )
    gap = pair.ours.poolings()["gap"]
    images, labels = pair.images[:count], pair.labels[:count]
    maps = np.asarray(ca.attribute(gap, images, labels, "grad_cam"))
    points = -(-images.shape[1] * images.shape[2] // PROTOCOL.step(images.shape[2])) - 1
    chunks: dict[int, int] = {}
    for size in (2 * count + 1, count, points * count, points * count):  # ends, masked images, and the two curves
        even = even_chunk(size, CURVE_CHUNK)
        chunks[even] = chunks.get(even, 0) + -(-size // even)
    measures = _measure(
        f"insertion, deletion, AD, AG, AI, batch {count}",
        lambda: ca.evaluate_maps(gap, images, labels, maps, chunk=CURVE_CHUNK),
        [gap],
        pair.images,
        chunks,
        rounds,
    )
    return [score_cam, measures]


def _measure(
    name: str, work: Work, networks: list[ca.Classifier], images: np.ndarray, chunks: Mapping[int, int], rounds: int
) -> Overhead:
    """Return the overhead of a work that makes `chunks`: how many passes of how many images each."""
    graphdef, state = nnx.split(networks)

    @jax.jit
    def forward(state: nnx.State, images: jax.Array) -> list[jax.Array]:
        score_fn = joint_probabilities(nnx.merge(graphdef, state))
        # Compiled loops, as the works' own: what all passes share, like the folding of weights, is done once in both.
        return [
            map_in_chunks(lambda i: score_fn(images[i % len(images)]), size * n, size) for size, n in chunks.items()
        ]

    times = interleave({"ours": work, "passes": lambda: forward(state, images)}, rounds)
    low, middle, high = ratios(times["ours"], times["passes"])
    return Overhead(name, sum(size * n for size, n in chunks.items()), middle, (low, high))
