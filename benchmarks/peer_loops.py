"""Grad-CAM, Score-CAM (METHOD 2), insertion and deletion (METHOD 3) as one writes them in plain, batched torch."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peer_networks import GapNetwork, StreamResNet, to_torch
from castream_jax.compute.masking import EPSILON
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.inputs import Normalisation


def min_max(maps: torch.Tensor) -> torch.Tensor:
    """Scale each map [... h w] to [0, 1]."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low + EPSILON)


@torch.enable_grad()
def grad_cam(network: StreamResNet, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the maps of CA [B 1 H W], at the images' size."""
    with torch.no_grad():
        taps = network.taps(pixels)
    last = taps[-1].requires_grad_()
    logits = network.ca([*taps[:-1], last])
    (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), last)
    maps = min_max((gradient.mean((2, 3), keepdim=True) * last).sum(1, keepdim=True).relu())
    return F.interpolate(maps, pixels.shape[2:], mode="bilinear").detach()


@torch.no_grad()
def score_cam(
    network: GapNetwork | StreamResNet,
    images: np.ndarray,
    labels: np.ndarray,
    channels: int,
    normalisation: Normalisation,
    batch: int,
) -> np.ndarray:
    """Return the maps of all poolings [S B h w], from one pass of their trunk for each of the first `channels`."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (normalisation.mean, normalisation.std))
    maps = []
    for image, label in zip(to_torch(images).split(1), labels.tolist(), strict=True):
        pixels = image * std + mean
        activation = network.taps(image)[-1][0, :channels]  # [C h w]
        weights = []
        for some in activation.split(batch):
            masks = F.interpolate(some[:, None], image.shape[2:], mode="bilinear", align_corners=True)  # [n 1 H W]
            taps = network.taps((pixels * min_max(masks) - mean) / std)
            logits = torch.stack([pool(taps) for pool in network.poolings()])  # [S n K]
            weights.append(logits.softmax(-1)[..., label])
        summed = torch.einsum("sc,chw->shw", torch.cat(weights, 1), activation)
        maps.append(min_max(summed.relu()))
    return torch.stack(maps, 1).numpy()


@torch.no_grad()
def insertion_and_deletion(
    network: Callable[[torch.Tensor], torch.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    maps: np.ndarray,
    protocol: Protocol,
) -> np.ndarray:
    """Return the curves of both [2 B points], one batch for each curve."""
    kernel = torch.tensor(protocol.blur_kernel()).expand(3, 1, -1, -1)
    found = []
    for image, label, saliency in zip(to_torch(images), labels.tolist(), torch.tensor(maps), strict=True):
        height, width = image.shape[1:]
        flat = F.interpolate(saliency[None, None], (height, width), mode="bilinear").flatten()
        order = flat.argsort(stable=True).flip(0)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(len(order))
        step = protocol.step(width)
        points = torch.arange(-(-height * width // step) + 1)
        changed = (ranks < (points * step)[:, None]).reshape(-1, 1, height, width)
        blurred = F.conv2d(image[None], kernel, padding=kernel.shape[-1] // 2, groups=3)[0]
        for before, after in ((blurred, image), (image, torch.zeros_like(image))):
            found.append(network(torch.where(changed, after, before)).softmax(-1)[:, label])
    return torch.stack(found).reshape(len(images), 2, -1).transpose(0, 1).numpy()
