"""Weights of EfficientNet-Lite that numpy draws, by efficientnet_pytorch's names; torch made the goldens with them."""

import json
import math
from pathlib import Path

import numpy as np

KEYS = Path(__file__).parents[2] / "weights" / "data" / "keys.json"
SIZES = {f"efficientnet_lite{number}": size for number, size in enumerate((224, 240, 260, 280, 300))}
"""Of the squares that the networks were designed for."""
ODD = (199, 233)
"""Of an image whose sides halve to odd numbers, so that the padding is uneven at some layers and even at others."""
MAPS = ("stage2", "stage5", "head")
"""Feature maps that goldens hold."""


def make_weights(name: str) -> dict[str, np.ndarray]:
    """Return every array of a network, float32; each drawn from a seed of its own."""
    shapes = json.loads(KEYS.read_text())[f"efficientnet_pytorch {name}"]
    return {
        key: draw(key, shape, np.random.default_rng([11, i])) for i, (key, shape) in enumerate(sorted(shapes.items()))
    }


def draw(key: str, shape: list[int], rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal(shape)
    if key.endswith("running_var"):
        z = np.exp(0.2 * z)
    elif len(shape) > 1:
        z *= math.sqrt(2 / math.prod(shape[1:]))
    elif key.endswith("weight"):
        z = 1 + 0.1 * z
    else:
        z *= 0.1
    return z.astype(np.float32)


def make_images(height: int, width: int) -> np.ndarray:
    """Return two images [2 H W 3] of noise with coarse and fine structure, normalised."""
    rng = np.random.default_rng([7, height, width])
    coarse = (
        rng.standard_normal((2, -(-height // 16), -(-width // 16), 3)).repeat(16, 1).repeat(16, 2)[:, :height, :width]
    )
    return (coarse + 0.5 * rng.standard_normal((2, height, width, 3))).astype(np.float32)
