"""The forward pass, pixels to logits, beside every variant of torch."""

import jax
import numpy as np
from flax import nnx

from benchmarks.comparison import Comparison, compare, largest
from benchmarks.interleaved import interleave
from benchmarks.peer_networks import COMPILED, build, convert, forwards
from castream_jax.compute.sharding import create_local_mesh, replicate, split_images

BAR = 1.0


def compare_forward(name: str, images: np.ndarray, dtype: str, rounds: int, compiled: bool) -> list[Comparison]:
    """Return a row for each variant of torch; the fastest one says so, and bears the bar if the dtype is float32.

    The difference is that of the logits, as a share of the largest. A network that torch cannot compile is named on
    stdout.
    """
    theirs = build(name, images)
    ours, mesh = convert(name, theirs, "gap", dtype), create_local_mesh()
    graphdef, state = nnx.split(ours)
    forward = jax.jit(split_images(lambda state, images: nnx.merge(graphdef, state)(images), mesh))
    state = replicate(state, mesh)
    works = {"ours": lambda: forward(state, images)} | forwards(theirs, images, dtype, compiled)
    if COMPILED in works:
        try:
            works[COMPILED]()
        except Exception as error:  # whatever a C++ compiler, or none, can raise
            del works[COMPILED]
            print(f"torch.compile fails for {name}, {dtype}: {str(error).strip().splitlines()[0]}\n")
    logits = {peer: np.asarray(work()) for peer, work in works.items()}
    times = interleave(works, rounds, compiled=True)
    peers = [peer for peer in works if peer != "ours"]
    best = min(peers, key=lambda peer: np.median(times[peer]))
    scale = np.abs(logits[peers[0]]).max()
    rows = []
    for peer in peers:
        label = peer if peer == COMPILED else f"torch {peer}"
        mark = f"{label} (best)" if peer == best else label
        rows.append(
            compare(
                f"forward, {name}, {dtype}, batch {len(images)}",
                {"ours": times["ours"], mark: times[peer]},
                mark,
                largest(logits["ours"], logits[peer]) / float(scale),
                BAR if peer == best and dtype == "float32" else None,
            )
        )
    return rows
