"""Grad-CAM, Score-CAM, insertion and deletion of ResNet-50 beside pytorch-grad-cam and plain loops in torch.

pytorch-grad-cam runs as it is installed, on a network in NCHW, and on one in channels_last. The loops run in the faster
one of torch's eager formats.
"""

import contextlib
import functools
import io
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import PartitionSpec
from pytorch_grad_cam import GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import castream_jax as ca
from benchmarks import peer_loops
from benchmarks.comparison import Comparison, compare, largest
from benchmarks.interleaved import Work, interleave
from benchmarks.peer_networks import EAGER, StreamResNet, build, convert, in_format, spread_stream, to_torch
from benchmarks.score_cam import compute_score_cam
from castream_jax.compute.masking import min_max, upsample
from castream_jax.compute.sharding import DATA, create_local_mesh, replicate, split_images
from castream_jax.metrics.protocol import PROTOCOLS

NETWORK = "resnet50"
PROTOCOL = PROTOCOLS["castream"]


@dataclass(frozen=True, eq=False)
class Pair:
    """ResNet-50 with GAP and CA pooling, ours and torch's, with the same weights; and the images to explain."""

    ours: ca.Classifier
    formats: dict[str, StreamResNet]
    """Torch's, in each of its eager formats."""
    eager: str
    """The faster one of these formats."""
    images: np.ndarray
    labels: np.ndarray
    """The class that GAP predicts."""

    @property
    def theirs(self) -> StreamResNet:
        """Torch's, in the faster format."""
        return self.formats[self.eager]


def create_pair(images: np.ndarray, eager: str) -> Pair:
    """Return the networks; `eager` is torch's format."""
    theirs = build(NETWORK, images)
    ours = convert(NETWORK, theirs, "ca")
    labels = spread_stream(ours, images)["gap"].argmax(1).astype(np.int32)
    formats = {name: StreamResNet(in_format(theirs, name), ours).eval() for name in EAGER}
    return Pair(ours, formats, eager, images, labels)


def package(eager: str) -> str:
    """Return what a row calls pytorch-grad-cam on a network in one of torch's formats."""
    return f"pytorch-grad-cam, {eager.removeprefix('eager ')}"


def compare_grad_cam(pair: Pair, rounds: int) -> list[Comparison]:
    """Return Grad-CAM of GAP, from images to maps, through both public interfaces.

    pytorch-grad-cam's maps are upsampled and scaled once more: ours are too before the difference is taken.
    """
    images, labels = pair.images, pair.labels
    gap, pixels = pair.ours.poolings()["gap"], to_torch(images)
    targets = [ClassifierOutputTarget(label) for label in labels.tolist()]
    works: dict[str, Work] = {"ours": lambda: ca.attribute(gap, images, labels, "grad_cam")}
    maps = min_max(upsample(works["ours"](), images.shape[1:3]))
    with contextlib.ExitStack() as stack:
        for name in EAGER:
            network = pair.formats[name].network
            cam = stack.enter_context(GradCAM(network, [network.layer4[-1]]))
            works[package(name)] = lambda cam=cam: cam(pixels, targets)
        differences = {peer: largest(maps, work()) for peer, work in works.items() if peer != "ours"}
        times = interleave(works, rounds, compiled=True)
    work = f"Grad-CAM, batch {len(images)}"
    return [compare(work, times, peer, differences[peer], bar) for peer, bar in zip(map(package, EAGER), (3.5, None))]


@functools.cache
def create_score_cam(pair: Pair, channels: int, chunk: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return the compiled function from images and labels to Score-CAM maps of GAP and CA, [2 B h w], of the first
    channels, and to the images that each device asks for, [D].
    """
    graphdef, state = nnx.split(pair.ours)

    def run_images(state: nnx.State, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        maps, asked = compute_score_cam(nnx.merge(graphdef, state), *batch, channels, chunk)
        return maps, asked[None]

    mesh = create_local_mesh()
    run = jax.jit(split_images(run_images, mesh, (PartitionSpec(None, DATA), PartitionSpec(DATA))))
    state = replicate(state, mesh)
    return lambda images, labels: run(state, (images, labels))


def compare_score_cam(pair: Pair, count: int, channels: int, chunk: int, rounds: int) -> list[Comparison]:
    """Return Score-CAM of GAP and CA for the first `count` images.

    pytorch-grad-cam, once for each network, weighs by a softmax of logits over channels: times only. The loop follows
    METHOD 2 and shares the trunk between GAP and CA, as ours does.
    """
    images, labels = pair.images[:count], pair.labels[:count]
    run = create_score_cam(pair, channels, chunk)
    pixels, targets = to_torch(images), [ClassifierOutputTarget(label) for label in labels.tolist()]

    def two_runs(eager: str, channels: int = channels):
        maps, stream = [], pair.formats[eager]
        network = stream.network

        def first_channels(activations):
            return activations[:, :channels]

        for classifier in (network, stream):
            progress = contextlib.redirect_stderr(io.StringIO())
            with progress, ScoreCAM(classifier, [network.layer4[-1]], reshape_transform=first_channels) as cam:
                maps.append(cam(pixels, targets))
        return maps

    loop = "torch loop, shared trunk"
    works: dict[str, Work] = {
        "ours": lambda: run(images, labels)[0],
        **{f"{package(name)}, two runs": functools.partial(two_runs, name) for name in EAGER},
        loop: lambda: peer_loops.score_cam(pair.theirs, images, labels, channels, pair.ours.normalisation, chunk),
    }
    difference = largest(works["ours"](), works[loop]())
    for name in EAGER:
        two_runs(name, chunk)  # the first call's memory is new: it takes longer
    times = interleave(works, rounds, compiled=True)
    work = f"Score-CAM, GAP and CA, batch {count}, {channels} channels"
    installed, channels_last = (f"{package(name)}, two runs" for name in EAGER)
    return [
        compare(work, times, installed, bar=2.5),
        compare(work, times, channels_last),
        compare(work, times, loop, difference),
    ]


def compare_insertion_and_deletion(pair: Pair, count: int, rounds: int) -> list[Comparison]:
    """Return insertion and deletion of GAP's Grad-CAM maps of the first images; ours gives AD, AG and AI as well.

    The difference is that of the curves' probabilities.
    """
    images, labels, gap = pair.images[:count], pair.labels[:count], pair.ours.poolings()["gap"]
    maps = np.asarray(ca.attribute(gap, images, labels, "grad_cam"))
    peer = "torch loop"
    works = {
        "ours": lambda: ca.evaluate_maps(gap, images, labels, maps),
        peer: lambda: peer_loops.insertion_and_deletion(pair.theirs.network, images, labels, maps, PROTOCOL),
    }
    found = works["ours"]()
    curves = jnp.stack([found["insertion_curve"], found["deletion_curve"]])
    difference = largest(curves, works[peer]())
    return [
        compare(
            f"insertion and deletion, batch {count}",
            interleave(works, rounds, compiled=True),
            peer,
            difference,
            bar=1.1,
        )
    ]
