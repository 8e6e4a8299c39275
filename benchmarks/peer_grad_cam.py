"""The maps that pytorch-grad-cam shares with us, as it is installed.

Its maps are compared as they are before it scales and upsamples them, by our min-max, as it adds 1e-7 to a range twice;
some at the images' size, as they say.
"""

import contextlib
import io
from collections.abc import Callable, Iterator

import numpy as np
import pytorch_grad_cam as peer
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from benchmarks import peer_definitions as definitions
from benchmarks.peer_definitions import scale
from benchmarks.peer_networks import to_torch
from benchmarks.peer_ours import CHANNELS, first_channels, ours, ours_of_channels
from benchmarks.peer_trial import Compute, Pair, Trial

NAME = "pytorch-grad-cam"
DAMPED = (
    "Grad-CAM++: it adds 1e-6 to a denominator of the size of g², here below that at most positions; ours adds 2.2e-16."
)
CENTRED = (
    "Eigen-CAM: it takes A less its mean over positions, and leaves the sign as the SVD gives it; the paper does not "
    "centre."
)
FINER = (
    "Finer-CAM: the mean over similar classes is weighted by their probabilities, through which the gradient runs, and "
    "nothing scales it; the paper's, ours and torch-cam's is 0.6 of the plain mean."
)
REFINED = (
    "RefineCAM: its Grad-CAM++ (see there), and every stage's map is made as large as the image before they are "
    "multiplied; ours are multiplied on the finest stage's grid."
)


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
        f"Score-CAM, its variant, {CHANNELS} channels, 1 image",
        NAME,
        ours_of_channels(one, "pytorch_grad_cam"),
        raw(peer.ScoreCAM, one, reshape_transform=first_channels),
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
