"""The maps and metrics that pytorch-grad-cam shares with us, as it is installed.

Its maps are compared as they are before it scales and upsamples them, by our min-max, as it adds 1e-7 to a range twice;
some at the images' size, as they say.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import pytorch_grad_cam as peer
import torch
from pytorch_grad_cam.metrics import arcc, cam_mult_image, road
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget

from benchmarks import peer_definitions as definitions
from benchmarks import peer_measures as measures
from benchmarks.peer_definitions import scale
from benchmarks.peer_networks import to_torch
from benchmarks.peer_ours import CASTREAM, CHANNELS, FEW, NORMALISED, Measured, ours, ours_of_channels
from benchmarks.peer_trial import Compute, Pair, Trial
from castream_jax.metrics.protocol import Protocol

NAME = "pytorch-grad-cam"
DAMPED = (
    "Grad-CAM++: it adds 1e-6 to a denominator of the size of g², here below that at most positions; ours adds 2.2e-16."
)
CENTRED = (
    "Eigen-CAM: it takes A less its mean over positions, and leaves the sign as the SVD gives it; the paper does not "
    "centre."
)
SOFTMAX = (
    "Score-CAM: weights are a softmax over channels of the class's logits, and masks multiply the normalised image; "
    "ours are probabilities, as in the authors' code, of images masked in pixel space."
)
FINER = (
    "Finer-CAM: the mean over similar classes is weighted by their probabilities, through which the gradient runs, and "
    "nothing scales it; the paper's, ours and torch-cam's is 0.6 of the plain mean."
)
REFINED = (
    "RefineCAM: its Grad-CAM++ (see there), and every stage's map is made as large as the image before they are "
    "multiplied; ours are multiplied on the finest stage's grid."
)


def first_channels(activations: torch.Tensor) -> torch.Tensor:
    """Return the channels that Score-CAM weighs, of feature maps and gradients."""
    return activations[:, :CHANNELS]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def list_maps(pair: Pair) -> Iterator[Trial]:
    """Yield its maps."""
    layer = pair.theirs.network.layer4[-1]

    def raw(kind: Callable[..., object], pair: Pair, targeted: bool = True, **settings: object) -> Compute:
        """Return its map as it is before it is scaled and upsampled, which it is all the same."""
        pixels = to_torch(pair.images)
        targets = [ClassifierOutputTarget(label) for label in pair.labels.tolist()] if targeted else None

        def run() -> np.ndarray:
            found = []
            with quiet(), kind(pair.theirs, [layer], **settings) as cam:
                base = getattr(cam, "base_cam", cam)
                compute = base.get_cam_image

                def record(*arguments: object) -> np.ndarray:
                    found.append(compute(*arguments))
                    return found[-1]

                base.get_cam_image = record
                cam(input_tensor=pixels, targets=targets)
                del base.get_cam_image  # else it would hold itself, and its hooks
                base.activations_and_grads.gradients = []  # ShapleyCAM's are views, which it fails to detach in place
            return scale(found[-1])

        return run

    def whole(pair: Pair) -> np.ndarray:
        with peer.GradCAM(pair.theirs, [layer]) as cam:
            targets = [ClassifierOutputTarget(label) for label in pair.labels.tolist()]
            return cam(input_tensor=to_torch(pair.images), targets=targets)

    def refine(pair: Pair) -> np.ndarray:
        network = pair.theirs.network
        stages = [getattr(network, f"layer{number}")[-1] for number in range(1, 5)]
        targets = [ClassifierOutputTarget(label) for label in pair.labels.tolist()]
        return peer.RefineCAM(pair.theirs, stages)(to_torch(pair.images), targets)

    one = pair.first(1)
    for what, key, kind in (
        ("Grad-CAM", "grad_cam", peer.GradCAM),
        ("HiResCAM", "hires_cam", peer.HiResCAM),
        ("LayerCAM", "layer_cam", peer.LayerCAM),
        ("XGrad-CAM", "xgrad_cam", peer.XGradCAM),
        ("ShapleyCAM", "shapley_cam", peer.ShapleyCAM),
    ):
        yield Trial(what, NAME, ours(pair, key), raw(kind, pair))
    yield Trial(
        "Grad-CAM, at the images' size",
        NAME,
        ours(pair, "grad_cam"),
        lambda: whole(pair),
        shown=lambda maps: definitions.grow(maps, pair.size),
    )
    yield Trial(
        "Grad-CAM++",
        NAME,
        ours(pair, "grad_cam_pp"),
        raw(peer.GradCAMPlusPlus, pair),
        lambda: scale(definitions.cam(pair, definitions.damped_grad_cam_pp)),
        DAMPED,
    )
    yield Trial(
        "Finer-CAM",
        NAME,
        ours(pair, "finer_cam"),
        raw(peer.FinerCAM, pair, targeted=False),
        lambda: scale(definitions.weighted_finer_cam(pair)),
        FINER,
    )
    yield Trial(
        "Eigen-CAM",
        NAME,
        ours(pair, "eigen_cam"),
        raw(peer.EigenCAM, pair),
        lambda: scale(definitions.centred_eigen_cam(pair)),
        CENTRED,
    )
    yield Trial("Ablation-CAM, 1 image", NAME, ours(one, "ablation_cam"), raw(peer.AblationCAM, one), rounds=2)
    yield Trial(
        f"Score-CAM, {CHANNELS} channels, 1 image",
        NAME,
        ours_of_channels(one),
        raw(peer.ScoreCAM, one, reshape_transform=first_channels),
        lambda: scale(definitions.softmax_score_cam(one, CHANNELS, align_corners=True)),
        SOFTMAX,
    )
    yield Trial(
        "RefineCAM, 4 stages, at the images' size",
        NAME,
        ours(pair, "refine_cam"),
        lambda: refine(pair),
        lambda: scale(definitions.refined(pair, definitions.damped_grad_cam_pp, pair.size)),
        "RefineCAM: its Grad-CAM++ (see there), and every stage's map is made as large as the image before they are "
        "multiplied; ours are multiplied on the finest stage's grid.",
        shown=lambda maps: definitions.grow(maps, pair.size),
    )


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
    "Coherency and ARCC: maps multiply the normalised image, ROAD is as theirs above, and 1e-8 is added to each term; "
    "ours multiply pixels."
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
