"""The maps that pytorch-grad-cam, torch-cam and captum share with us, each library's as it is installed.

Maps are compared at the resolution that a library computes them in, before its own scaling, which adds 1e-7 or 1e-8 to
a range: what comes out is scaled by our min-max. Some cases are compared at the images' size, as they say.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import torch

import castream_jax as ca
from benchmarks import peer_definitions as definitions
from benchmarks.peer_definitions import scale
from benchmarks.peer_networks import to_torch
from benchmarks.peer_trial import Compute, Pair, Trial

CHANNELS = 128
"""Of 512: those that Score-CAM weighs."""
SCORED = 2
"""Images of Score-CAM and of maps whose gradients run through the trunk."""
STEPS = 16
"""Of integrated gradients, and samples of SmoothGrad."""

DAMPED = (
    "Grad-CAM++: it adds 1e-6 to a denominator of the size of g², here below that at most positions; ours adds 2.2e-16."
)
UNDIVIDED = (
    "Grad-CAM++, a defect: `alpha[idx][mask].div_(...)` divides the copy that indexing by a mask makes, so that alpha "
    "stays g² and is never divided."
)
CENTRED = "Eigen-CAM: it takes A less its mean over positions, and leaves the sign as the SVD gives it; the paper does not centre."
SOFTMAX = (
    "Score-CAM: weights are a softmax over channels of the class's logits, and masks multiply the normalised image; ours "
    "are probabilities, as in the authors' code, of images masked in pixel space."
)
FINER = (
    "Finer-CAM: the mean over similar classes is weighted by their probabilities, through which the gradient runs, and "
    "nothing scales it; the paper's, ours and torch-cam's is 0.6 of the plain mean."
)
FUSED = "LayerCAM of several stages: the tanh is taken of the last stage's map too; in the paper's equation it is not."
DEFAULTS = "integrated gradients: by default it starts at the mean colour, zeros after normalisation, and ours at black."
ABSOLUTE = (
    "SmoothGrad: Saliency takes absolute values by default, before NoiseTunnel's mean; the paper's and ours is the mean "
    "of gradients, and its absolute value."
)


def ours(pair: Pair, key: str, **settings: object) -> Compute:
    """Return our map, by the public function."""
    return lambda: np.asarray(ca.attribute(pair.ours, pair.images, pair.labels, key, **settings))


def first_channels(activations: torch.Tensor) -> torch.Tensor:
    """Return the channels that Score-CAM weighs, of feature maps and gradients."""
    return activations[:, :CHANNELS]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def first_score_cam(pair: Pair) -> Compute:
    """Return our Score-CAM of the first channels, compiled."""
    import jax

    from benchmarks.peer_trial import CHUNK
    from benchmarks.score_cam import compute_score_cam
    from castream_jax.compute.on_devices import compute_on_devices

    run = functools.partial(_first_score_cam, compute_score_cam)
    return lambda: np.asarray(
        compute_on_devices(run, pair.ours, (jax.numpy.asarray(pair.images), jax.numpy.asarray(pair.labels)), CHUNK)
    )


def grad_cam_trials(pair: Pair) -> Iterator[Trial]:
    """Yield the maps of pytorch-grad-cam."""
    import pytorch_grad_cam as peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    name, layer = "pytorch-grad-cam", pair.theirs.network.layer4[-1]

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

    few, one = pair.first(SCORED), pair.first(1)
    for what, key, kind in (
        ("Grad-CAM", "grad_cam", peer.GradCAM),
        ("HiResCAM", "hires_cam", peer.HiResCAM),
        ("LayerCAM", "layer_cam", peer.LayerCAM),
        ("XGrad-CAM", "xgrad_cam", peer.XGradCAM),
        ("ShapleyCAM", "shapley_cam", peer.ShapleyCAM),
    ):
        yield Trial(what, name, ours(pair, key), raw(kind, pair))
    yield Trial(
        "Grad-CAM, at the images' size",
        name,
        ours(pair, "grad_cam"),
        lambda: whole(pair),
        shown=lambda maps: definitions.grow(maps, pair.size),
    )
    yield Trial(
        "Grad-CAM++",
        name,
        ours(pair, "grad_cam_pp"),
        raw(peer.GradCAMPlusPlus, pair),
        lambda: scale(definitions.cam(pair, definitions.damped_grad_cam_pp)),
        DAMPED,
    )
    yield Trial(
        "Finer-CAM",
        name,
        ours(pair, "finer_cam"),
        raw(peer.FinerCAM, pair, targeted=False),
        lambda: scale(definitions.weighted_finer_cam(pair)),
        FINER,
    )
    yield Trial(
        "Eigen-CAM",
        name,
        ours(pair, "eigen_cam"),
        raw(peer.EigenCAM, pair),
        lambda: scale(definitions.centred_eigen_cam(pair)),
        CENTRED,
    )
    yield Trial("Ablation-CAM, 1 image", name, ours(one, "ablation_cam"), raw(peer.AblationCAM, one), rounds=2)
    yield Trial(
        f"Score-CAM, {CHANNELS} channels, {SCORED} images",
        name,
        first_score_cam(few),
        raw(peer.ScoreCAM, few, reshape_transform=first_channels),
        lambda: scale(definitions.softmax_score_cam(few, CHANNELS, align_corners=True)),
        SOFTMAX,
    )
    yield Trial(
        "RefineCAM, 4 stages, at the images' size",
        name,
        ours(pair, "refine_cam"),
        lambda: refine(pair),
        lambda: scale(definitions.refined(pair, definitions.damped_grad_cam_pp, pair.size)),
        "RefineCAM: its Grad-CAM++ (see there), and every stage's map is made as large as the image before they are "
        "multiplied; ours are multiplied on the finest stage's grid.",
        shown=lambda maps: definitions.grow(maps, pair.size),
    )


def _first_score_cam(compute: Callable[..., object], network: ca.Classifier, images: object, labels: object, chunk: int):
    return compute(network, images, labels, CHANNELS, chunk)[0][1]  # of GAP and CA, the second


def torchcam_trials(pair: Pair) -> Iterator[Trial]:
    """Yield the maps of torch-cam."""
    from torchcam import methods as peer

    name, network = "torch-cam", pair.theirs.network
    layer = network.layer4[-1]
    stages = [getattr(network, f"layer{number}")[-1] for number in (4, 3, 2, 1)]

    def raw(kind: Callable[..., object], pair: Pair, layers: object = layer, fused: bool = False, **settings: object):
        """Return its map, or what it makes of several, before it is scaled."""
        pixels, labels = to_torch(pair.images), pair.labels.tolist()

        def run() -> np.ndarray:
            with kind(pair.theirs, layers, **settings) as extractor:
                scores = pair.theirs(pixels)
                maps = extractor(labels, scores, normalized=fused)
                return scale((extractor.fuse_cams(maps) if fused else maps[0]).numpy())

        return run

    few = pair.first(SCORED)
    for what, key, kind in (
        ("Grad-CAM", "grad_cam", peer.GradCAM),
        ("LayerCAM", "layer_cam", peer.LayerCAM),
        ("XGrad-CAM", "xgrad_cam", peer.XGradCAM),
        ("Finer-CAM", "finer_cam", peer.FinerCAM),
    ):
        yield Trial(what, name, ours(pair, key), raw(kind, pair))
    yield Trial(
        "Grad-CAM++",
        name,
        ours(pair, "grad_cam_pp"),
        raw(peer.GradCAMpp, pair),
        lambda: scale(definitions.cam(pair, definitions.undivided_grad_cam_pp)),
        UNDIVIDED,
    )
    yield Trial(
        "LayerCAM, 4 stages",
        name,
        ours(pair, "layer_cam", layer_cam_stages=0),
        raw(peer.LayerCAM, pair, stages, fused=True),
        lambda: scale(definitions.fused_layer_cam(pair)),
        FUSED,
    )
    yield Trial(
        "RefineCAM, 4 stages",
        name,
        ours(pair, "refine_cam"),
        raw(peer.RefineCAM, pair, stages),
        lambda: scale(definitions.refined(pair, definitions.undivided_grad_cam_pp)),
        UNDIVIDED,
    )
    yield Trial(
        f"Score-CAM, {CHANNELS} channels, {SCORED} images",
        name,
        first_score_cam(few),
        raw(peer.ScoreCAM, few, reshape_transform=first_channels),
        lambda: scale(definitions.softmax_score_cam(few, CHANNELS, align_corners=False)),
        SOFTMAX,
    )


def captum_trials(pair: Pair) -> Iterator[Trial]:
    """Yield the maps of captum."""
    from captum import attr as peer

    name, few = "captum", pair.first(SCORED)
    pixels, labels = to_torch(few.images), torch.from_numpy(few.labels).long()
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (pair.ours.normalisation.mean, pair.ours.normalisation.std))
    samples, black = f"{STEPS} samples, {SCORED} images", (-mean / std).expand_as(pixels).contiguous()

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

    yield Trial("Grad-CAM", name, ours(pair, "grad_cam"), layer_grad_cam)
    yield Trial(
        f"Gradient x input, {SCORED} images",
        name,
        ours(few, "gradient_input"),
        lambda: add_up(peer.InputXGradient(few.theirs).attribute(pixels.clone().requires_grad_(), target=labels)),
    )
    integrated = ours(few, "integrated_gradients", integrated_gradients_steps=STEPS)
    yield Trial(
        f"Integrated gradients from black, midpoints, {STEPS} steps, {SCORED} images",
        name,
        integrated,
        integrate(baselines=black, method="riemann_middle"),
    )
    yield Trial(
        f"Integrated gradients as by default, {STEPS} steps, {SCORED} images",
        name,
        integrated,
        integrate(),
        lambda: scale(definitions.gaussian_integrated_gradients(few, STEPS)),
        DEFAULTS,
    )
    smoothed = ours(few, "smooth_grad", smooth_grad_samples=STEPS)
    yield Trial(f"SmoothGrad of signed gradients, our noise, {samples}", name, smoothed, smooth(False))
    yield Trial(
        f"SmoothGrad as by default, our noise, {samples}",
        name,
        smoothed,
        smooth(True),
        lambda: scale(definitions.absolute_smooth_grad(few, STEPS)),
        ABSOLUTE,
    )
