"""Maps of a few images, a network of one linear layer, and its probabilities in plain numpy."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from castream_jax import METRICS, Normalisation
from castream_jax.binding.measures import measure_maps
from castream_jax.compute.questions import Asked, Panel
from castream_jax.metrics.metric import Case
from castream_jax.metrics.protocol import PROTOCOLS, Protocol
from tests.networks import MEAN, STD

HEIGHT, WIDTH, CLASSES = 12, 10, 4
RNG = np.random.default_rng(4)
PIXELS = RNG.random((2, HEIGHT, WIDTH, 3))
IMAGES = ((PIXELS - MEAN) / STD).astype(np.float32)
READOUT = RNG.standard_normal((HEIGHT, WIDTH, 3, CLASSES)) / 6
COLUMNS = np.array([[3, 0], [1, 2]])
"""Two classes of each image, as two poolings would have."""
NORMALISATION = Normalisation(MEAN, STD)


def probabilities(images: np.ndarray) -> np.ndarray:
    """Return those of all classes, in float64."""
    logits = np.einsum("nhwc,hwck->nk", images.astype(np.float64), READOUT)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def score_fn(images: jax.Array) -> jax.Array:
    """Return the same, as the network that is asked."""
    return jax.nn.softmax(jnp.einsum("nhwc,hwck->nk", images, jnp.asarray(READOUT, jnp.float32), precision="highest"))


def measure(
    symbols: Sequence[str],
    maps: np.ndarray,
    of: Sequence[int],
    protocol: Protocol = PROTOCOLS["rise"],
    images: np.ndarray = IMAGES,
    score: Callable = score_fn,
    **known,
) -> tuple[dict[str, np.ndarray], list[Asked]]:
    """Return the columns [J Q ...] of maps at the images' size, from one compiled program, and what was asked."""
    asked: list[Asked] = []
    columns = known.pop("columns", COLUMNS[: len(images)])

    @functools.partial(jax.jit)
    def run(images: jax.Array, saliency: jax.Array) -> dict[str, jax.Array]:
        case = Case(images, saliency, jnp.asarray(of), protocol, NORMALISATION, **known)
        found, questions = measure_maps(Panel(score, jnp.asarray(columns), 16), case, [METRICS[s] for s in symbols])
        asked.extend(questions)
        return found

    found = run(jnp.asarray(images), jnp.asarray(maps, jnp.float32))
    return {name: np.asarray(values) for name, values in found.items()}, asked


def descending(saliency: np.ndarray) -> np.ndarray:
    """Return the places of pixels, the most salient first, ties by decreasing flat index."""
    return np.flip(np.argsort(saliency.reshape(-1), kind="stable"))


def erase(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return an image whose pixels of these flat places are the mean colour."""
    erased = image.copy().reshape(-1, image.shape[-1])
    erased[places] = 0
    return erased.reshape(image.shape)
