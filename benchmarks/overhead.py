"""What Score-CAM, insertion and deletion cost beyond the forward passes that they make."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

import castream_jax as ca
from benchmarks.explanations import PROTOCOL, Pair
from benchmarks.interleaved import Work, interleave, ratios
from benchmarks.score_cams import create_score_cam
from castream_jax.binding.chunk import choose_chunk
from castream_jax.binding.shared_trunk import joint_scores
from castream_jax.compute.questions import ScoreFunction, even_chunk
from castream_jax.compute.sharding import create_local_mesh, replicate, split_images

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
    """Return both overheads, for the first `count` images, as many on every device: of Score-CAM for GAP and CA, and of
    every measure of GAP's Grad-CAM maps.
    """
    images, labels, own = pair.images[:count], pair.labels[:count], count // jax.local_device_count()
    run = create_score_cam(pair.ours, channels, chunk)
    asked = max(run(images, labels)[1].tolist())  # of the device that has the most
    full = min(chunk, own * channels + 1)  # a black image is among them
    score_cam = _measure(
        f"Score-CAM, GAP and CA, batch {count}, {channels} channels",
        lambda: run(images, labels),
        list(pair.ours.poolings().values()),
        pair.images,
        Counter({full: -(-asked // full)}) + Counter({own: 1}),  # the images' own features are the masks
        rounds,
    )
    gap = pair.ours.poolings()["gap"]
    maps = np.asarray(ca.attribute(gap, images, labels, "grad_cam"))
    points = -(-images.shape[1] * images.shape[2] // PROTOCOL.step(images.shape[2])) - 1
    # The images themselves, masked and blurred, the two curves between their ends, and one end for all.
    total = 3 * own + 2 * points * own + 1
    even = even_chunk(total, choose_chunk(gap, images.shape[1:3]))
    chunks = Counter({even: -(-total // even)}) + Counter({own: 1})
    measures = _measure(
        f"insertion, deletion, AD, AG, AI, batch {count}",
        lambda: ca.evaluate_maps(gap, images, labels, maps),
        [gap],
        pair.images,
        chunks,
        rounds,
    )
    return [score_cam, measures]


def _measure(
    name: str,
    work: Work,
    networks: list[ca.Classifier],
    images: np.ndarray,
    chunks: Mapping[int, int],
    rounds: int,
) -> Overhead:
    """Return the overhead of a work that makes `chunks` on every device: how many passes of how many images each."""
    graphdef, state = nnx.split(networks)
    mesh = create_local_mesh()

    def forward_images(state: nnx.State, images: jax.Array) -> list[jax.Array]:
        score_fn = joint_scores(nnx.merge(graphdef, state))
        # Compiled loops, as the works' own: what all passes share, like the folding of weights, is done once in both.
        return [forward_in_chunks(score_fn, images, size, n) for size, n in chunks.items()]

    forward, state = jax.jit(split_images(forward_images, mesh)), replicate(state, mesh)
    all_of_them = np.tile(images, (mesh.size, 1, 1, 1))  # for each device: it never sees the same one twice in a row
    times = interleave({"ours": work, "passes": lambda: forward(state, all_of_them)}, rounds)
    low, middle, high = ratios(times["ours"], times["passes"])
    return Overhead(name, mesh.size * sum(size * n for size, n in chunks.items()), middle, (low, high))


def forward_in_chunks(score_fn: ScoreFunction, images: jax.Array, size: int, chunks: int) -> jax.Array:
    """Return the scores of some images again and again, `size` at a time."""

    def fill(i: jax.Array, rows: jax.Array) -> jax.Array:
        scores = score_fn(images[(i * size + jnp.arange(size)) % len(images)])
        return lax.dynamic_update_slice_in_dim(rows, scores, i * size, axis=0)

    scores = jax.eval_shape(score_fn, images)
    return lax.fori_loop(0, chunks, fill, jnp.zeros((chunks * size, *scores.shape[1:]), scores.dtype))
