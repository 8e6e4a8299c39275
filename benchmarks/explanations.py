"""Grad-CAM, Score-CAM, insertion and deletion of ResNet-50 beside pytorch-grad-cam and plain loops in torch.

The peers run in the faster one of torch's eager formats.
"""

import contextlib
import io
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pytorch_grad_cam import GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import castream_jax as ca
from benchmarks import peer_loops
from benchmarks.comparison import Comparison, compare, largest
from benchmarks.interleaved import interleave
from benchmarks.peer_networks import StreamResNet, build, convert, in_format, to_torch
from castream_jax.attribution.score import ScoreCam
from castream_jax.evaluation.maps import explain
from castream_jax.masking import min_max, upsample
from castream_jax.metrics.protocol import PROTOCOLS

NETWORK, TARGET = "resnet50", "stage4"
PROTOCOL = PROTOCOLS["castream"]
CURVE_CHUNK = 27
"""Images in one pass of insertion and deletion: the points between the ends of one curve, so that none is padded."""


@dataclass(frozen=True)
class Pair:
    """ResNet-50 with GAP and CA pooling, ours and torch's, with the same weights; and the images to explain."""

    ours: ca.Classifier
    theirs: StreamResNet
    images: np.ndarray
    labels: np.ndarray
    """The class that GAP predicts."""


def create_pair(images: np.ndarray, eager: str) -> Pair:
    """Return the networks; `eager` is torch's format."""
    theirs = build(NETWORK, images)
    ours = convert(NETWORK, theirs, "ca")
    assert ours.stream is not None
    logits = {name: np.asarray(model(images)) for name, model in ours.poolings().items()}
    # A fresh stream's logits are several times as large, and its probabilities of most classes next to 0.
    last = ours.stream.projections[-1]
    gain = logits["gap"].std() / logits["ca"].std()
    last.kernel[...], last.bias[...] = last.kernel[...] * gain, last.bias[...] * gain
    labels = logits["gap"].argmax(1).astype(np.int32)
    return Pair(ours, StreamResNet(in_format(theirs, eager), ours).eval(), images, labels)


def compare_grad_cam(pair: Pair, rounds: int) -> list[Comparison]:
    """Return Grad-CAM of GAP, from images to maps, through both public interfaces.

    pytorch-grad-cam's maps are upsampled and scaled once more: ours are too before the difference is taken.
    """
    images, labels = pair.images, pair.labels
    gap, network = pair.ours.poolings()["gap"], pair.theirs.network
    peer, pixels = "pytorch-grad-cam", to_torch(images)
    targets = [ClassifierOutputTarget(label) for label in labels.tolist()]
    with GradCAM(network, [network.layer4[-1]]) as cam:
        works = {"ours": lambda: ca.attribute(gap, images, labels, "grad_cam"), peer: lambda: cam(pixels, targets)}
        difference = largest(min_max(upsample(works["ours"](), images.shape[1:3])), works[peer]())
        times = interleave(works, rounds)
    return [compare(f"Grad-CAM, batch {len(images)}", times, peer, difference, bar=3.5)]


def create_score_cam(pair: Pair, channels: int, chunk: int):
    """Return the compiled function from images and labels to `ScoreCam` of GAP and CA, of the first channels."""
    graphdef, state = nnx.split(pair.ours)

    @jax.jit
    def run(state: nnx.State, images: jax.Array, labels: jax.Array) -> ScoreCam | None:
        model = nnx.merge(graphdef, state)
        features = model.features(images)
        some = features | {TARGET: features[TARGET][..., :channels]}
        both = dict.fromkeys(model.poolings(), labels)
        return explain(model.poolings(), images, some, both, ["score_cam"], TARGET, chunk).score_cam

    return lambda images, labels: run(state, images, labels)


def compare_score_cam(pair: Pair, channels: int, chunk: int, rounds: int) -> list[Comparison]:
    """Return Score-CAM of GAP and CA for the first image.

    pytorch-grad-cam, once for each network, weighs by a softmax of logits over channels: times only. The loop follows
    METHOD 2 and shares the trunk between GAP and CA, as ours does.
    """
    images, labels = pair.images[:1], pair.labels[:1]
    run = create_score_cam(pair, channels, chunk)
    pixels, targets = to_torch(images), [ClassifierOutputTarget(int(labels[0]))]
    network = pair.theirs.network

    def first_channels(activations):
        return activations[:, :channels]

    def grad_cam_package():
        maps = []
        for classifier in (network, pair.theirs):
            progress = contextlib.redirect_stderr(io.StringIO())
            with progress, ScoreCAM(classifier, [network.layer4[-1]], reshape_transform=first_channels) as cam:
                maps.append(cam(pixels, targets))
        return maps

    package, loop = "pytorch-grad-cam, two runs", "torch loop, shared trunk"
    works = {
        "ours": lambda: run(images, labels).maps,
        package: grad_cam_package,
        loop: lambda: peer_loops.score_cam(pair.theirs, images, labels, channels, pair.ours.normalisation, chunk),
    }
    difference = largest(works["ours"](), works[loop]())
    times = interleave(works, rounds)
    work = f"Score-CAM, GAP and CA, {channels} channels"
    return [compare(work, times, package, bar=2.5), compare(work, times, loop, difference)]


def compare_insertion_and_deletion(pair: Pair, count: int, rounds: int) -> list[Comparison]:
    """Return insertion and deletion of GAP's Grad-CAM maps of the first images; ours gives AD, AG and AI as well.

    The difference is that of the curves' probabilities.
    """
    images, labels, gap = pair.images[:count], pair.labels[:count], pair.ours.poolings()["gap"]
    maps = np.asarray(ca.attribute(gap, images, labels, "grad_cam"))
    peer = "torch loop"
    works = {
        "ours": lambda: ca.evaluate_maps(gap, images, labels, maps, chunk=CURVE_CHUNK),
        peer: lambda: peer_loops.insertion_and_deletion(pair.theirs.network, images, labels, maps, PROTOCOL),
    }
    found = works["ours"]()
    curves = jnp.stack([found["insertion_curve"], found["deletion_curve"]])
    difference = largest(curves, works[peer]())
    return [compare(f"insertion and deletion, batch {count}", interleave(works, rounds), peer, difference, bar=1.1)]
