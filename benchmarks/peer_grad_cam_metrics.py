"""The metrics that pytorch-grad-cam shares with us, as it is installed."""

import functools
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import pytorch_grad_cam as peer
import torch
from pytorch_grad_cam.metrics import arcc, cam_mult_image, road
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget

from benchmarks import peer_measures as measures
from benchmarks.peer_grad_cam import NAME
from benchmarks.peer_ours import CASTREAM, FEW, NORMALISED, Measured
from benchmarks.peer_trial import Compute, Trial
from castream_jax.metrics.protocol import Protocol

MULTIPLIED = (
    "Average increase: maps multiply the normalised image, so that 0 leaves the mean colour; ours multiply pixels, so "
    "that 0 leaves black."
)
UNDIVIDED_DROP = "Average drop: it is p - o, not divided by p; and maps multiply the normalised image."
CHANGES = (
    "ROAD, MoRF, LeRF: the mean change of the probability over nine percentiles; the normalised image is filled in, "
    "wherever the map reaches a threshold, so that equal values go together. Ours is the area under the curve from the "
    "whole image on, of exactly so many pixels, filled in as pixels in 0..1, with noise (set to 0 in theirs here). Its "
    "combined score is half of a difference of which ours is the whole."
)
MIXED = (
    "Coherency and ARCC: maps multiply the normalised image, ours pixels. In ARCC, ROAD is as theirs above, 1e-8 is "
    "added to each term, and ROAD and Grad-CAM have one target, the probability: ours explains the logit."
)


def list_metrics(all_: Measured) -> Iterator[Trial]:
    """Yield its metrics."""
    pair, few = all_.pair, all_.first(FEW)
    layers = [pair.theirs.network.layer4[-1]]

    def ask(metric: Callable[..., np.ndarray], of: Measured) -> Compute:
        """Return a metric of probabilities, without noise."""
        targets = [ClassifierOutputSoftmaxTarget(label) for label in of.pair.labels.tolist()]

        def run() -> np.ndarray:
            with mock.patch("torch.randn_like", torch.zeros_like):
                return metric(of.pixels, of.maps, targets, of.pair.theirs)

        return run

    def cohere() -> np.ndarray:
        with peer.GradCAM(pair.theirs, layers) as cam:
            targets = [ClassifierOutputTarget(label) for label in pair.labels.tolist()]
            return arcc.Coherency()(all_.pixels, all_.maps, targets, pair.theirs, cam)

    def judge() -> np.ndarray:
        with peer.GradCAM(pair.theirs, layers) as cam:
            return ask(arcc.ARCC(cam), few)()

    def changed(column: str, protocol: Protocol = CASTREAM) -> Compute:
        return all_.ours(column, "AD", "AI", protocol=protocol)

    def drop_of_probability() -> np.ndarray:
        return changed("average_drop", NORMALISED)() * changed("probability")()

    @functools.cache
    def filled_in() -> dict[str, np.ndarray]:
        return measures.threshold_road(few.pair, few.maps)

    yield Trial(
        "Average drop",
        NAME,
        changed("average_drop"),
        ask(cam_mult_image.DropInConfidence(), all_),
        drop_of_probability,
        UNDIVIDED_DROP,
    )
    yield Trial(
        "Average increase",
        NAME,
        changed("average_increase"),
        ask(cam_mult_image.IncreaseInConfidence(), all_),
        changed("average_increase", NORMALISED),
        MULTIPLIED,
    )
    yield Trial("Complexity", NAME, all_.placed("Com"), lambda: arcc.Complexity()(all_.maps))
    yield Trial(
        "Coherency of Grad-CAM",
        NAME,
        all_.judged("Coh"),
        cohere,
        lambda: measures.normalised_coherency(pair, all_.maps),
        MIXED,
    )
    for order, metric in (
        ("most", road.ROADMostRelevantFirstAverage()),
        ("least", road.ROADLeastRelevantFirstAverage()),
    ):
        yield Trial(
            f"ROAD's curve, {order} salient first, {FEW} images; ours finds both",
            NAME,
            few.ours(f"road_{order}_first", "MoRF", "LeRF"),
            ask(metric, few),
            functools.partial(lambda order: filled_in()[order], order),
            CHANGES,
            rounds=2,
        )
    yield Trial(
        f"ROAD, {FEW} images",
        NAME,
        few.ours("road", "ROAD"),
        ask(road.ROADCombined(), few),
        lambda: (filled_in()["least"] - filled_in()["most"]) / 2,
        CHANGES,
        rounds=2,
    )
    yield Trial(
        f"ARCC of Grad-CAM, {FEW} images",
        NAME,
        few.judged("ARCC"),
        judge,
        lambda: measures.normalised_arcc(few.pair, few.maps),
        MIXED,
        rounds=2,
    )
    gone = all_.truth[0]
    yield Trial(
        "ROAD's imputation alone",
        NAME,
        lambda: np.asarray(measures.fill_in(pair.images[:1], gone[None])),
        lambda: (
            road.NoisyLinearImputer(noise=0)(all_.pixels[0], torch.from_numpy(np.float32(~gone)))
            .numpy()
            .transpose(1, 2, 0)[None]
        ),
    )
