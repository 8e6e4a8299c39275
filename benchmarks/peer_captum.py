"""The maps and metrics that captum shares with us, as it is installed.

Its attributions are added up over colours and scaled by our min-max.
"""

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
from benchmarks.peer_ours import FEW, STEPS, Measured, ours
from benchmarks.peer_trial import Compute, Pair, Trial

NAME = "captum"
DEFAULTS = (
    "Integrated gradients: by default it starts at the mean colour, zeros after normalisation, and takes Gauss and "
    "Legendre's rule; ours starts at black and takes midpoints."
)
ABSOLUTE = (
    "SmoothGrad: Saliency takes absolute values by default, before NoiseTunnel's mean; ours is the absolute value of "
    "the mean gradient."
)


def list_maps(pair: Pair) -> Iterator[Trial]:
    """Yield its maps."""
    few = pair.first(FEW)
    pixels, labels = to_torch(few.images), torch.from_numpy(few.labels).long()
    mean, std = (
        torch.tensor(values).reshape(1, 3, 1, 1)
        for values in (pair.ours.normalisation.mean, pair.ours.normalisation.std)
    )
    samples, black = f"{STEPS} samples, {FEW} images", (-mean / std).expand_as(pixels).contiguous()

    def add_up(found: torch.Tensor) -> np.ndarray:
        return scale(found.detach().sum(1).numpy())

    def integrate(**settings: object) -> Compute:
        return lambda: add_up(
            peer.IntegratedGradients(few.theirs).attribute(pixels, target=labels, n_steps=STEPS, **settings)
        )

    def smooth(absolute: bool) -> Compute:
        """Return SmoothGrad of the network as a function of pixels in 0..1, where noise is the same for all colours."""
        noise = [to_torch(one[None]) for one in definitions.smooth_noise(few, STEPS)]
        saliency = peer.Saliency(lambda seen: few.theirs((seen - mean) / std))

        def run() -> np.ndarray:
            drawn = iter(noise)
            with mock.patch("torch.normal", lambda mean, spread: next(drawn).expand_as(spread)):
                found = peer.NoiseTunnel(saliency).attribute(
                    pixels * std + mean,
                    nt_samples=STEPS,
                    nt_samples_batch_size=1,
                    stdevs=definitions.SPREAD,
                    target=labels,
                    abs=absolute,
                )
            return add_up((found * std).abs())

        return run

    def layer_grad_cam() -> np.ndarray:
        found = peer.LayerGradCam(pair.theirs, pair.theirs.network.layer4).attribute(
            to_torch(pair.images), target=torch.from_numpy(pair.labels).long()
        )
        return add_up(found)

    yield Trial("Grad-CAM", NAME, ours(pair, "grad_cam"), layer_grad_cam)
    yield Trial(
        f"Gradient x input, {FEW} images",
        NAME,
        ours(few, "gradient_input"),
        lambda: add_up(peer.InputXGradient(few.theirs).attribute(pixels.clone().requires_grad_(), target=labels)),
    )
    integrated = ours(few, "integrated_gradients", integrated_gradients_steps=STEPS)
    yield Trial(
        f"Integrated gradients from black, midpoints, {STEPS} steps, {FEW} images",
        NAME,
        integrated,
        integrate(baselines=black, method="riemann_middle"),
    )
    yield Trial(
        f"Integrated gradients as by default, {STEPS} steps, {FEW} images",
        NAME,
        integrated,
        integrate(),
        lambda: scale(definitions.gaussian_integrated_gradients(few, STEPS)),
        DEFAULTS,
    )
    smoothed = ours(few, "smooth_grad", smooth_grad_samples=STEPS)
    yield Trial(f"SmoothGrad of signed gradients, our noise, {samples}", NAME, smoothed, smooth(False))
    yield Trial(
        f"SmoothGrad as by default, our noise, {samples}",
        NAME,
        smoothed,
        smooth(True),
        lambda: scale(definitions.absolute_smooth_grad(few, STEPS)),
        ABSOLUTE,
    )


UNSCALED = (
    "Infidelity: its mean square is not divided by that of the cost, so that it depends on how sure the network is; "
    "ours is a share. Times that mean square, ours is theirs."
)


def list_metrics(pair: Pair) -> Iterator[Trial]:
    """Yield its metrics, with what ours draw at random."""
    one, all_ = Measured(pair.first(1)), Measured(pair)
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
            torch.from_numpy(one.maps)[:, None].expand_as(one.pixels).contiguous() / 3,
            target=labels[:1],
            n_perturb_samples=len(sets),
            max_examples_per_batch=together,
            normalize=True,
        ).numpy()

    def scaled() -> np.ndarray:
        return one.ours("INFD")() * measures.mean_square_cost(one.pair, one.sets())

    def sense() -> np.ndarray:
        noise = iter([to_torch(one) for one in all_.sensitivity_noise()])
        return sensitivity_max(
            lambda seen: grad_cam(pair.theirs, seen[0] if isinstance(seen, tuple) else seen, labels),
            all_.pixels,
            lambda seen: seen + next(noise),
            n_perturb_samples=len(all_.sensitivity_noise()),
            max_examples_per_batch=len(pair.images),
        ).numpy()

    yield Trial(
        "Infidelity, normalised, our sets, 1 image", NAME, one.ours("INFD"), infidel, scaled, UNSCALED, rounds=2
    )
    yield Trial("Max-sensitivity of Grad-CAM, our noise", NAME, all_.judged("Sens"), sense)
