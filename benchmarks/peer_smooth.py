"""A small network without kinks, in torch and in JAX: for gradients at the image, which rounding must not decide.

Behind many ReLUs and a maximum it does: an input that is next to 0, or two next to each other, send the gradient one
way or another. `peer_captum.describe_kinks` measures how much on ResNet-18.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import castream_jax as ca
from benchmarks.peer_networks import to_torch
from benchmarks.peer_trial import Pair
from castream_jax.models.inputs import Normalisation

CLASSES = 10


def create_smooth(images: np.ndarray, normalisation: Normalisation) -> Pair:
    """Return two convolutions with GELUs, the mean over positions and a linear layer, with seeded random weights."""
    torch.manual_seed(0)
    first, second, last = (
        torch.nn.Conv2d(3, 16, 5, 2, 2),
        torch.nn.Conv2d(16, 32, 3, 2, 1),
        torch.nn.Linear(32, CLASSES),
    )
    layers = first, torch.nn.GELU(), second, torch.nn.GELU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), last
    theirs = torch.nn.Sequential(*layers).eval()
    kernels = [jnp.asarray(layer.weight.detach().numpy().transpose(2, 3, 1, 0)) for layer in (first, second)]
    biases = [jnp.asarray(layer.bias.detach().numpy()) for layer in (first, second)]
    matrix, bias = (jnp.asarray(values.detach().numpy().T) for values in (last.weight, last.bias))

    def features(x: jax.Array) -> dict[str, jax.Array]:
        for kernel, shift in zip(kernels, biases):
            pad = [(kernel.shape[0] // 2,) * 2] * 2
            x = jax.lax.conv_general_dilated(x, kernel, (2, 2), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.gelu(x + shift.reshape(1, 1, 1, -1), approximate=False)
        return {"map": x}

    def head(maps: dict[str, jax.Array]) -> jax.Array:
        return maps["map"].mean((1, 2)) @ matrix + bias[None]

    ours = ca.network(features, head, normalisation.mean, normalisation.std, size=images.shape[1])
    labels = theirs(to_torch(images)).argmax(1).numpy().astype(np.int32)
    return Pair(ours, theirs, images, labels)
