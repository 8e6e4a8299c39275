"""Grad-CAM, insertion and deletion of ResNet-50 beside pytorch-grad-cam and plain loops in torch.

pytorch-grad-cam runs as it is installed, on a network in NCHW, and on one in channels_last. The loops run in the faster
one of torch's eager formats.
"""

import contextlib
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import castream_jax as ca
from benchmarks import peer_loops
from benchmarks.comparison import Comparison, compare, largest
from benchmarks.interleaved import Work, interleave
from benchmarks.peer_networks import EAGER, StreamResNet, build, convert, in_format, spread_stream, to_torch
from castream_jax.compute.masking import min_max, upsample
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
