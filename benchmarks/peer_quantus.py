"""The metrics that Quantus shares with us, as it is installed, at the settings that are nearest to ours."""

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import quantus as peer
import torch
from quantus.functions.perturb_func import noisy_linear_imputation
from quantus.functions.similarity_func import correlation_spearman

import castream_jax as ca
from benchmarks import peer_measures as measures
from benchmarks.peer_loops import grad_cam
from benchmarks.peer_ours import Measured
from benchmarks.peer_trial import Compute, Trial
from castream_jax.compute.masking import upsample

NAME = "Quantus"
COLOURS = (
    "Pixel flipping: its features are the colours of pixels one by one, in the order of a sort that leaves equal ones "
    "as it comes, and the three of a pixel are equal; ours erase whole pixels, of equal ones the last first."
)
ANY = (
    "Pointing game: where several pixels have the largest value, one of them on the object is a hit; ours counts the "
    "share of them that is. A map that is upsampled from few positions has such pixels in its corners."
)
NATS = "Complexity, our entropy: in nats; ours is a share of the largest, ln n of n pixels."
CUMULATIVE = (
    "Infidelity: the mean square of sum a (x - x') - (p - p') as it is, in the map's own scale, over patches that are "
    "erased one after the other and stay erased; ours draws sets, takes the best multiple of the map and divides by "
    "the mean square of the cost. Its samples repeat the same patches: theirs is of two, and computed here from one."
)
LINES = (
    "Random logit: by default the structural similarity of the maps as lines of pixels, row after row; ours is "
    "Spearman's correlation."
)
COLOURED = (
    "ROAD, a defect: a map that is one for all colours is spread over them, and places among 3 H W features are then "
    "looked up among H W pixels."
)
PATCH = 8
"""Pixels on a side of its infidelity's patches."""


def list_metrics(all_: Measured) -> Iterator[Trial]:
    """Yield its metrics, with what ours draw at random."""
    pair, one = all_.pair, all_.first(1)
    pixels = all_.maps[0].size

    def ask(metric: Callable[..., object], of: Measured, **settings: object) -> Compute:
        """Return a metric of the maps."""
        images = of.pair.images.transpose(0, 3, 1, 2).copy()

        def run() -> np.ndarray:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is sensitive to its parameters
                found = metric(
                    of.pair.theirs, images, of.pair.labels, **{"a_batch": of.maps[:, None].copy()} | settings
                )
            return np.asarray(found, np.float64)

        return run

    def settle(metric: Callable[..., object], **settings: object) -> Callable[..., object]:
        """Return a metric whose warnings are not said again."""
        return metric(disable_warnings=True, **settings)

    def explain(model: object, inputs: object, targets: object, **_: object) -> np.ndarray:
        seen, labels = torch.as_tensor(inputs, dtype=torch.float32), torch.as_tensor(targets).long()
        return grad_cam(pair.theirs, seen, labels).numpy()

    def correlate() -> np.ndarray:
        sets = [np.flatnonzero(np.broadcast_to(some, (3, *some.shape))) for some in one.sets()]
        metric = settle(
            peer.FaithfulnessCorrelation,
            nr_runs=len(sets),
            subset_size=len(sets[0]),
            perturb_baseline=0.0,
            return_aggregate=False,
        )
        with mock.patch("numpy.random.choice", side_effect=sets):
            return ask(metric, one, softmax=True)()

    def sense() -> np.ndarray:
        noise = iter(all_.sensitivity_noise().transpose(0, 1, 4, 2, 3))

        def perturb(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
            return arr + next(noise).reshape(arr.shape)

        metric = settle(peer.MaxSensitivity, nr_samples=len(all_.sensitivity_noise()), perturb_func=perturb)
        return ask(metric, all_, a_batch=None, explain_func=explain)()

    others = all_.other_labels()
    places = np.where(others < pair.labels, others, others - 1)  # among the classes but the own one

    def tell_apart(**settings: object) -> np.ndarray:
        metric = settle(peer.RandomLogit, num_classes=pair.ours.num_classes, **settings)
        with mock.patch("numpy.random.randint", return_value=places):
            return ask(metric, all_, a_batch=None, explain_func=explain)()

    def similar() -> np.ndarray:
        own, other = (
            np.asarray(upsample(ca.attribute(pair.ours, pair.images, labels, "grad_cam"), pair.size))
            for labels in (pair.labels, others)
        )
        return measures.flat_ssim(own, other)

    yield Trial(
        "Pointing game",
        NAME,
        all_.placed("PG"),
        ask(settle(peer.PointingGame), all_, s_batch=all_.truth[:, None]),
        lambda: measures.hit_by_any(all_.maps, all_.truth),
        ANY,
    )
    yield Trial("Sparseness (Gini)", NAME, all_.placed("Gini"), ask(settle(peer.Sparseness), all_))
    yield Trial(
        "Complexity (our entropy)",
        NAME,
        all_.placed("Ent"),
        ask(settle(peer.Complexity), all_),
        lambda: all_.placed("Ent")() * math.log(pixels),
        NATS,
    )
    for what, symbol, metric in (
        ("Relevance mass accuracy (EPG)", "EPG", peer.RelevanceMassAccuracy),
        ("Attribution localisation (EPG)", "EPG", peer.AttributionLocalisation),
        ("Relevance rank accuracy", "RRA", peer.RelevanceRankAccuracy),
    ):
        yield Trial(what, NAME, all_.placed(symbol), ask(settle(metric), all_, s_batch=all_.truth[:, None]))
    yield Trial(
        "Pixel flipping (deletion's curve), to the mean colour",
        NAME,
        all_.ours("deletion_curve", "D"),
        ask(settle(peer.PixelFlipping, features_in_step=3 * all_.step, perturb_baseline=0.0), all_),
        lambda: measures.flip_colours(pair, all_.maps, 3 * all_.step),
        COLOURS,
        shown=lambda curve: curve[:, 1:],
    )
    yield Trial(
        "Faithfulness correlation (MuFidelity), our sets, 1 image",
        NAME,
        one.ours("mu_fidelity", "MuF"),
        correlate,
        rounds=2,
    )
    metric = settle(peer.Infidelity, perturb_patch_sizes=[PATCH], n_perturb_samples=2, perturb_baseline=0.0)
    shares = one.maps / one.maps.sum((1, 2), keepdims=True)
    yield Trial(
        "Infidelity, maps divided by their sum, 1 image",
        NAME,
        one.ours("infidelity", "INFD"),
        ask(metric, one, softmax=True, a_batch=shares[:, None].copy()),
        lambda: measures.patch_infidelity(one.pair, shares, PATCH),
        CUMULATIVE,
        rounds=2,
    )
    yield Trial("Max-sensitivity of Grad-CAM, our noise", NAME, all_.judged("Sens"), sense)
    yield Trial(
        "Random logit of Grad-CAM, our classes, Spearman",
        NAME,
        all_.judged("RLT"),
        functools.partial(tell_apart, similarity_func=correlation_spearman),
    )
    yield Trial(
        "Random logit of Grad-CAM, our classes, as by default", NAME, all_.judged("RLT"), tell_apart, similar, LINES
    )
    gone = all_.truth[0]
    yield Trial(
        "ROAD's imputation alone",
        NAME,
        lambda: np.asarray(measures.fill_in(pair.images[:1], gone[None])),
        lambda: noisy_linear_imputation(
            pair.images[0].transpose(2, 0, 1).copy(), np.flatnonzero(gone), noise=0
        ).transpose(1, 2, 0)[None],
    )
    yield Trial("ROAD, most salient first", NAME, lambda: np.zeros(0), ask(settle(peer.ROAD), one), reason=COLOURED)
