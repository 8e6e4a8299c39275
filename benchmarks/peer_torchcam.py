"""The maps and metrics that torch-cam shares with us, as it is installed.

Its maps are compared as they are before it scales them, by our min-max, as it adds 1e-8 to a range.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
import torch
from torchcam import methods as peer
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

from benchmarks import peer_definitions as definitions
from benchmarks import peer_measures as measures
from benchmarks.peer_definitions import scale
from benchmarks.peer_networks import to_torch
from benchmarks.peer_ours import CASTREAM, CHANNELS, NORMALISED, Measured, first_channels, ours, ours_of_channels
from benchmarks.peer_trial import Compute, Pair, Trial
from castream_jax.metrics.insertion import blur

NAME = "torch-cam"
UNDIVIDED = (
    "Grad-CAM++, a defect: `alpha[idx][mask].div_(...)` divides the copy that indexing by a mask makes, so that alpha "
    "stays g² and is never divided."
)
FUSED = (
    "LayerCAM of several stages: each stage's map is min-max scaled, and the tanh is taken of the last stage's too; "
    "ours divides by the maximum, and takes the tanh of the earlier stages' alone."
)


def list_maps(pair: Pair) -> Iterator[Trial]:
    """Yield its maps."""
    network = pair.theirs.network
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

    one = pair.first(1)
    for what, key, kind in (
        ("Grad-CAM", "grad_cam", peer.GradCAM),
        ("LayerCAM", "layer_cam", peer.LayerCAM),
        ("XGrad-CAM", "xgrad_cam", peer.XGradCAM),
        ("Finer-CAM", "finer_cam", peer.FinerCAM),
    ):
        yield Trial(what, NAME, ours(pair, key), raw(kind, pair))
    yield Trial(
        "Grad-CAM++",
        NAME,
        ours(pair, "grad_cam_pp"),
        raw(peer.GradCAMpp, pair),
        lambda: scale(definitions.cam(pair, definitions.undivided_grad_cam_pp)),
        UNDIVIDED,
    )
    yield Trial(
        "LayerCAM, 4 stages",
        NAME,
        ours(pair, "layer_cam", layer_cam_stages=0),
        raw(peer.LayerCAM, pair, stages, fused=True),
        lambda: scale(definitions.fused_layer_cam(pair)),
        FUSED,
    )
    yield Trial(
        "RefineCAM, 4 stages",
        NAME,
        ours(pair, "refine_cam"),
        raw(peer.RefineCAM, pair, stages),
        lambda: scale(definitions.refined(pair, definitions.undivided_grad_cam_pp)),
        UNDIVIDED,
    )
    yield Trial(
        f"Score-CAM, its variant, {CHANNELS} channels, 1 image",
        NAME,
        ours_of_channels(one, "torchcam"),
        raw(peer.ScoreCAM, one, reshape_transform=first_channels),
    )


MULTIPLIED = (
    "Average drop and increase: maps multiply the normalised image, so that 0 leaves the mean colour; ours multiply "
    "pixels, so that 0 leaves black."
)
TIES = (
    "Insertion and deletion: of pixels with equal values the one with the lower index changes first, ours the one with "
    "the higher, as in the authors' code; a map that is upsampled from few positions has such pixels in its corners, "
    "and a positive part wherever it is 0."
)


class Given:
    """Maps in the place of an extractor, of which its metrics ask a model, maps and how to fuse them."""

    def __init__(self, measured: Measured) -> None:
        self.model, self.maps = measured.pair.theirs, torch.from_numpy(measured.maps.copy())

    def __call__(self, class_idx: object, scores: object) -> list[torch.Tensor]:
        return [self.maps]

    def fuse_cams(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return the only map of each image."""
        return maps[0]

    def _hooks_off(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def list_metrics(all_: Measured) -> Iterator[Trial]:
    """Yield its metrics, which are means over the images."""
    pair, images = all_.pair, all_.pair.images
    softmax = functools.partial(torch.softmax, dim=-1)
    blurred = np.asarray(blur(jnp.asarray(images), jnp.asarray(CASTREAM.blur_kernel())))

    def mean(compute: Compute) -> Compute:
        return lambda: compute().mean()

    def change(key: str) -> np.ndarray:
        metric = ClassificationMetric(Given(all_), softmax)
        metric.update(all_.pixels, pair.labels.tolist())
        return np.asarray(metric.summary()[key])

    def area(key: str, baseline: torch.Tensor | None = None) -> np.ndarray:
        steps = images[0, ..., 0].size // all_.step
        metric = DeletionInsertionMetric(Given(all_), softmax, steps=steps, baseline=baseline)
        metric.update(all_.pixels, pair.labels.tolist())
        return np.asarray(metric.summary()[key])

    def traced(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        curve = measures.trace(pair, measures.find_ranks(all_.maps), before, after, all_.step)
        return np.asarray(((curve[:, 1:] + curve[:, :-1]) / 2).mean())

    for what, column, key in (
        ("Average drop", "average_drop", "avg_drop"),
        ("Average increase", "average_increase", "conf_increase"),
    ):
        yield Trial(
            f"{what}, mean",
            NAME,
            mean(all_.ours(column, "AD", "AI")),
            functools.partial(change, key),
            mean(all_.ours(column, "AD", "AI", protocol=NORMALISED)),
            MULTIPLIED,
        )
    yield Trial(
        "Deletion, mean; theirs finds insertion too",
        NAME,
        mean(all_.ours("deletion", "D")),
        lambda: area("deletion_auc"),
        lambda: traced(images, np.zeros_like(images)),
        TIES,
    )
    yield Trial(
        "Insertion from our blurred image, mean; theirs finds deletion too",
        NAME,
        mean(all_.ours("insertion", "I")),
        lambda: area("insertion_auc", to_torch(blurred)),
        lambda: traced(blurred, images),
        TIES,
    )
