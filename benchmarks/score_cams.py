"""Score-CAM beside pytorch-grad-cam and plain loops in torch: of ResNet-50 under GAP and CA, and of another network.

pytorch-grad-cam, once for each pooling, weighs by a softmax of logits over channels: times only. The loops follow
METHOD 2, and share the trunk between poolings, as ours does.
"""

import contextlib
import functools
import io
from collections.abc import Callable

import jax
import numpy as np
import torch
from flax import nnx
from jax.sharding import PartitionSpec
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import castream_jax as ca
from benchmarks import peer_loops
from benchmarks.comparison import Comparison, compare, largest
from benchmarks.explanations import Pair, package
from benchmarks.interleaved import Work, interleave
from benchmarks.peer_networks import COMPILED, EAGER, GapNetwork, build, convert, in_format, to_torch
from benchmarks.score_cam import compute_score_cam
from castream_jax.compute.sharding import DATA, create_local_mesh, replicate, split_images

SHARE = 1 / 8
"""Of the channels, where maps are estimated."""
WHOLE = 1000
"""Channels from which bars are meant: of fewer, what comes once for each image counts too much."""


@functools.cache
def create_score_cam(
    model: ca.Classifier, channels: int, chunk: int, share: float = 0.0
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the compiled function from images and labels to Score-CAM maps of all poolings, [S B h w], of the first
    channels, and to the images that each device asks for, [D].
    """
    graphdef, state = nnx.split(model)

    def run_images(state: nnx.State, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        maps, asked = compute_score_cam(nnx.merge(graphdef, state), *batch, channels, chunk, share)
        return maps, asked[None]

    mesh = create_local_mesh()
    run = jax.jit(split_images(run_images, mesh, (PartitionSpec(None, DATA), PartitionSpec(DATA))))
    state = replicate(state, mesh)
    return lambda images, labels: run(state, (images, labels))


def compare_score_cam(pair: Pair, count: int, channels: int, chunk: int, rounds: int) -> list[Comparison]:
    """Return Score-CAM of GAP and CA for the first `count` images, exact and from an eighth of the passes."""
    images, labels = pair.images[:count], pair.labels[:count]
    whole = channels > WHOLE
    run, estimate = (create_score_cam(pair.ours, channels, chunk, share) for share in (0.0, SHARE))
    pixels, targets = to_torch(images), [ClassifierOutputTarget(label) for label in labels.tolist()]

    def two_runs(eager: str, channels: int = channels):
        stream = pair.formats[eager]
        classifiers = (stream.network, stream)
        return [explain(each, stream.network.layer4[-1], pixels, targets, channels) for each in classifiers]

    loop = "torch loop, shared trunk"
    works: dict[str, Work] = {
        "ours": lambda: run(images, labels)[0],
        "estimate": lambda: estimate(images, labels)[0],
        **{f"{package(name)}, two runs": functools.partial(two_runs, name) for name in EAGER},
        loop: lambda: peer_loops.score_cam(pair.theirs, images, labels, channels, pair.ours.normalisation, chunk),
    }
    difference = largest(works["ours"](), works[loop]())
    for name in EAGER:
        two_runs(name, chunk)  # the first call's memory is new: it takes longer
    times = interleave(works, rounds, compiled=True)
    work = f"Score-CAM, GAP and CA, batch {count}, {channels} channels"
    few, times_of_few = f"{work}, from an eighth", times | {"ours": times["estimate"]}
    installed, channels_last = (f"{package(name)}, two runs" for name in EAGER)
    return [
        compare(work, times, installed, bar=2.5),
        compare(work, times, channels_last),
        compare(work, times, loop, difference),
        compare(few, times_of_few, installed, bar=15 if whole else None),
        compare(few, times_of_few, channels_last),
    ]


def compare_score_cam_of(
    name: str, images: np.ndarray, channels: int, chunk: int, rounds: int, compiled: bool
) -> list[Comparison]:
    """Return Score-CAM of GAP of a network that timm has, beside loops in all formats of torch and the package."""
    network = build(name, images)
    ours = convert(name, network, "gap")
    labels = np.asarray(ours(images)).argmax(1).astype(np.int32)
    run = create_score_cam(ours, channels, chunk)
    pixels, targets = to_torch(images), [ClassifierOutputTarget(label) for label in labels.tolist()]
    formats = {each: in_format(network, each).eval() for each in EAGER}
    trunks = {each: GapNetwork(own) for each, own in formats.items()}
    if compiled:
        trunks[COMPILED] = GapNetwork(in_format(network, EAGER[1]).eval())
        trunks[COMPILED].taps = torch.compile(trunks[COMPILED].taps)  # type: ignore[method-assign]

    def loop(trunk: GapNetwork) -> np.ndarray:
        return peer_loops.score_cam(trunk, images, labels, channels, ours.normalisation, chunk)

    works: dict[str, Work] = {
        "ours": lambda: run(images, labels)[0],
        **{f"loop, {each}": functools.partial(loop, trunk) for each, trunk in trunks.items()},
        package(EAGER[1]): lambda: explain(formats[EAGER[1]], formats[EAGER[1]].bn2, pixels, targets, channels),
    }
    maps = {peer: work() for peer, work in works.items()}
    times = interleave(works, rounds, compiled=True)
    loops = [peer for peer in works if peer.startswith("loop")]
    best = min(loops, key=lambda peer: np.median(times[peer]))
    bar = 1.0 if compiled and channels > WHOLE else None
    return [
        compare(
            f"Score-CAM, {name}, GAP, batch {len(images)}, {channels} channels",
            {"ours": times["ours"], peer: times[peer]},
            peer,
            largest(maps["ours"], maps[peer]) if peer in loops else None,
            bar if peer == best else None,
        )
        for peer in works
        if peer != "ours"
    ]


def explain(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    pixels: torch.Tensor,
    targets: list[ClassifierOutputTarget],
    channels: int,
) -> np.ndarray:
    """Return pytorch-grad-cam's maps, of a layer's first channels."""

    def first_channels(activations: torch.Tensor) -> torch.Tensor:
        return activations[:, :channels]

    progress = contextlib.redirect_stderr(io.StringIO())
    with progress, ScoreCAM(network, [layer], reshape_transform=first_channels) as cam:
        found: np.ndarray = cam(pixels, targets)
    return found
