"""The maps and metrics that captum shares with us, as it is installed.

Its attributions are added up over colours and scaled by our min-max.
"""

import functools
from collections.abc import Iterator
from unittest import mock

import numpy as np
import torch
from captum import attr as peer
from captum.metrics import infidelity, sensitivity_max

from benchmarks import peer_definitions as definitions
from benchmarks import peer_measures as measures
from benchmarks.peer_definitions import scale
from benchmarks.peer_loops import grad_cam
from benchmarks.peer_networks import to_torch
from benchmarks.peer_ours import STEPS, Measured, ours
from benchmarks.peer_smooth import create_smooth
from benchmarks.peer_trial import Pair, Trial
from castream_jax.models.inputs import Normalisation

NAME = "captum"
DEFAULTS = (
    "Integrated gradients: by default it starts at the mean colour, zeros after normalisation, and takes Gauss and "
    "Legendre's rule; ours starts at black and takes midpoints."
)
ABSOLUTE = (
    "SmoothGrad: Saliency takes absolute values by default, before NoiseTunnel's mean; ours is the absolute value of "
    "the mean gradient."
)


def add_up(found: torch.Tensor) -> np.ndarray:
    """Return attributions as a map: the sum over colours or channels, scaled."""
    return scale(found.detach().sum(1).numpy())


class Peer:
    """Its maps that begin at the image, of a network."""

    def __init__(self, pair: Pair, normalisation: Normalisation) -> None:
        self.pair = pair
        self.mean, self.std = (
            torch.tensor(values).reshape(1, 3, 1, 1) for values in (normalisation.mean, normalisation.std)
        )
        self.pixels, self.labels = to_torch(pair.images), torch.from_numpy(pair.labels).long()

    def times_input(self) -> np.ndarray:
        """Return gradient times input."""
        method = peer.InputXGradient(self.pair.theirs)
        return add_up(method.attribute(self.pixels.clone().requires_grad_(), target=self.labels))

    def integrate(self, **settings: object) -> np.ndarray:
        """Return integrated gradients."""
        method = peer.IntegratedGradients(self.pair.theirs)
        return add_up(method.attribute(self.pixels, target=self.labels, n_steps=STEPS, **settings))

    def integrate_from_black(self) -> np.ndarray:
        """Return integrated gradients by our rule, from our baseline."""
        black = (-self.mean / self.std).expand_as(self.pixels).contiguous()
        return self.integrate(baselines=black, method="riemann_middle")

    def smoothen(self, absolute: bool) -> np.ndarray:
        """Return SmoothGrad of the network as a function of pixels in 0..1, where noise is the same for all colours."""
        drawn = iter([to_torch(one[None]) for one in definitions.smooth_noise(self.pair, STEPS)])
        saliency = peer.Saliency(lambda seen: self.pair.theirs((seen - self.mean) / self.std))
        with mock.patch("torch.normal", lambda _, spread: next(drawn).expand_as(spread)):
            found = peer.NoiseTunnel(saliency).attribute(
                self.pixels * self.std + self.mean,
                nt_samples=STEPS,
                nt_samples_batch_size=1,
                stdevs=definitions.SPREAD,
                target=self.labels,
                abs=absolute,
            )
        return add_up((found * self.std).abs())


def list_maps(pair: Pair) -> Iterator[Trial]:
    """Yield its maps; those that begin at the image are compared on a small smooth network, and timed on the other."""
    smooth, one = create_smooth(pair.images, pair.ours.normalisation), pair.first(1)
    theirs, large = (Peer(some, pair.ours.normalisation) for some in (smooth, one))
    integrated, smoothed = (
        [ours(some, key, **{f"{key}_{name}": STEPS}) for some in (smooth, one)]
        for key, name in (("integrated_gradients", "steps"), ("smooth_grad", "samples"))
    )

    def layer_grad_cam() -> np.ndarray:
        method = peer.LayerGradCam(pair.theirs, pair.theirs.network.layer4)
        return add_up(method.attribute(to_torch(pair.images), target=torch.from_numpy(pair.labels).long()))

    yield Trial("Grad-CAM", NAME, ours(pair, "grad_cam"), layer_grad_cam)
    yield Trial(
        "Gradient x input *",
        NAME,
        ours(smooth, "gradient_input"),
        theirs.times_input,
        timed=(ours(one, "gradient_input"), large.times_input),
    )
    yield Trial(
        "Integrated gradients from black at midpoints *",
        NAME,
        integrated[0],
        theirs.integrate_from_black,
        timed=(integrated[1], large.integrate_from_black),
        rounds=2,
    )
    yield Trial(
        "Integrated gradients as by default *",
        NAME,
        integrated[0],
        theirs.integrate,
        lambda: scale(definitions.gaussian_integrated_gradients(smooth, STEPS)),
        DEFAULTS,
        timed=(integrated[1], large.integrate),
        rounds=2,
    )
    for what, absolute in (("of signed gradients", False), ("as by default", True)):
        yield Trial(
            f"SmoothGrad {what}, our noise *",
            NAME,
            smoothed[0],
            functools.partial(theirs.smoothen, absolute),
            (lambda: scale(definitions.absolute_smooth_grad(smooth, STEPS))) if absolute else None,
            ABSOLUTE if absolute else "",
            timed=(smoothed[1], functools.partial(large.smoothen, absolute)),
            rounds=2,
        )


MOVED = 1e-6
"""How far images are moved, as a share of each value: a few of float32's last places."""


def describe_kinks(pair: Pair) -> str:
    """Say how far input gradients of a network with ReLUs are apart, and what rounding does to theirs."""
    torch.manual_seed(0)
    theirs = Peer(pair, pair.ours.normalisation)
    still, first, own = theirs.pixels, theirs.times_input(), ours(pair, "gradient_input")()
    moved = []
    for _ in range(4):
        theirs.pixels = still * (1 + MOVED * torch.randn_like(still))
        moved.append(np.abs(theirs.times_input() - first).max((1, 2)))
    apart, shaken = (
        ", ".join(f"{value:.1e}" for value in values)
        for values in (np.abs(own - first).max((1, 2)), np.max(moved, axis=0))
    )
    return (
        f"\\* Compared on a small smooth network ({len(pair.images)} images), timed on ResNet-18 (1 image, {STEPS} "
        "steps or samples). Gradient x input of ResNet-18, image by image: ours and captum's are "
        f"{apart} apart; captum's and captum's of images moved by {MOVED:g} of their values, the most of 4 draws: "
        f"{shaken}. A ReLU whose input is next to 0 goes one way or the other."
    )


UNSCALED = (
    "Infidelity: its mean square is not divided by that of the cost, so that it depends on how sure the network is; "
    "ours is a share. Times that mean square, ours is theirs."
)


def list_metrics(all_: Measured) -> Iterator[Trial]:
    """Yield its metrics, with what ours draw at random."""
    pair, one = all_.pair, all_.first(1)
    labels = torch.from_numpy(pair.labels).long()
    sets = torch.from_numpy(one.sets())
    together = 20
    """Sets in one forward pass."""

    def infidel() -> np.ndarray:
        chunks = iter(sets.split(together))

        def erase(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            erased = next(chunks)[:, None].expand_as(inputs)
            return erased.float(), inputs.masked_fill(erased, 0)

        return infidelity(
            lambda seen: one.pair.theirs(seen).softmax(-1),
            erase,
            one.pixels,
            torch.from_numpy(one.maps.copy())[:, None].expand_as(one.pixels).contiguous() / 3,
            target=labels[:1],
            n_perturb_samples=len(sets),
            max_examples_per_batch=together,
            normalize=True,
        ).numpy()

    def scaled() -> np.ndarray:
        return one.ours("infidelity", "INFD")() * measures.mean_square_cost(one.pair, one.sets())

    def explain(seen: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Return the maps of images as a tuple, whose first entry it takes for the first input's."""
        return (grad_cam(pair.theirs, seen[0] if isinstance(seen, tuple) else seen, labels),)

    def sense() -> np.ndarray:
        noise = all_.sensitivity_noise()
        drawn = iter([to_torch(one) for one in noise])
        return sensitivity_max(
            explain,
            all_.pixels,
            lambda seen: seen + next(drawn),
            n_perturb_samples=len(noise),
            max_examples_per_batch=len(pair.images),
        ).numpy()

    yield Trial(
        "Infidelity, normalised, our sets, 1 image",
        NAME,
        one.ours("infidelity", "INFD"),
        infidel,
        scaled,
        UNSCALED,
        rounds=2,
    )
    yield Trial("Max-sensitivity of Grad-CAM, our noise", NAME, all_.judged("Sens"), sense)
