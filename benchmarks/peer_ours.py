"""Our side of the comparison with a peer: maps and metrics by the public functions, and what ours draw at random.

All metrics measure the same maps, our Grad-CAM at the images' size, or let Grad-CAM explain changed images.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import castream_jax as ca
from benchmarks.peer_definitions import grow
from benchmarks.peer_networks import to_torch
from benchmarks.peer_trial import CHUNK, TARGET, Compute, Pair
from benchmarks.score_cam import compute_score_cam
from castream_jax.attribution import GRAD_CAM
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute.on_devices import compute_on_devices
from castream_jax.metrics import METRICS
from castream_jax.metrics.max_sensitivity import RADIUS, TURNS
from castream_jax.metrics.max_sensitivity import SEED as NOISE_SEED
from castream_jax.metrics.metric import Case
from castream_jax.metrics.mu_fidelity import draw_sets
from castream_jax.metrics.protocol import PROTOCOLS, Protocol, choose_protocol
from castream_jax.metrics.random_logit import SEED as CLASS_SEED
from castream_jax.models.inputs import Normalisation
from castream_jax.models.network import Network

CHANNELS = 63
"""Of 512: those that Score-CAM weighs. With the black image that flat ones share, ours asks for two full chunks."""
FEW = 2
"""Images of metrics that take many passes for each."""
STEPS = 16
"""Of integrated gradients, and samples of SmoothGrad."""
CASTREAM = PROTOCOLS["castream"]
NORMALISED = choose_protocol("castream", {"mask_space": "normalised"})


def ours(pair: Pair, key: str, **settings: object) -> Compute:
    """Return our map, by the public function."""
    return lambda: np.asarray(ca.attribute(pair.ours, pair.images, pair.labels, key, **settings))


def first_channels(maps: Any) -> Any:
    """Return the channels that Score-CAM weighs, of torch's feature maps [B C h w]."""
    return maps[:, :CHANNELS]


def ours_of_channels(pair: Pair, variant: str) -> Compute:
    """Return a variant of Score-CAM of the first channels."""
    arrays = jnp.asarray(pair.images), jnp.asarray(pair.labels)
    return lambda: np.asarray(compute_on_devices(_weigh, pair.ours, arrays, CHANNELS, CHUNK, variant))


def _weigh(
    network: ca.Classifier, images: jax.Array, labels: jax.Array, channels: int, chunk: int, variant: str
) -> jax.Array:
    # Of GAP and CA the second.
    return compute_score_cam(network, images, labels, channels, chunk, variant=variant)[0][1]


class Measured:
    """Our Grad-CAM of a pair's images, at their size, and what is measured of it."""

    def __init__(self, pair: Pair, maps: np.ndarray | None = None) -> None:
        self.pair = pair
        self.maps = grow(ours(pair, "grad_cam")(), pair.size) if maps is None else maps
        self.pixels = to_torch(pair.images)
        self.step = CASTREAM.step(pair.size[1])
        """Pixels that curves change at once."""
        height, width = pair.size
        self.truth = np.zeros(self.maps.shape, bool)
        """Where an object is said to be: a box half as high and half as wide as the image, left of its middle."""
        self.truth[:, height // 4 : 3 * height // 4, width // 8 : 5 * width // 8] = True

    def first(self, count: int) -> "Measured":
        """Return the same of the first images."""
        return Measured(self.pair.first(count), self.maps[:count])

    def ours(self, column: str, *symbols: str, protocol: Protocol = CASTREAM) -> Compute:
        """Return a column of our metrics of the maps, by the public function."""
        pair = self.pair
        return lambda: np.asarray(
            ca.evaluate_maps(pair.ours, pair.images, pair.labels, self.maps, protocol, metrics=symbols)[column]
        )

    def judged(self, symbol: str) -> Compute:
        """Return our metric, one that lets Grad-CAM explain other images or classes."""
        pair = self.pair
        plan = Plan(TARGET, CHUNK, (GRAD_CAM,), metrics=(METRICS[symbol],), protocols=(CASTREAM,))
        arrays = jnp.asarray(pair.images), jnp.asarray(pair.labels), jnp.arange(len(pair.labels))
        return lambda: np.asarray(compute_on_devices(_judge, pair.ours, arrays, plan)[METRICS[symbol].column])

    def placed(self, symbol: str) -> Compute:
        """Return our metric, one of where the object is or of how a map is spread."""
        place = jax.jit(functools.partial(_place, symbol, self.pair.ours.normalisation))
        return lambda: np.asarray(place(self.maps, self.truth))

    def sensitivity_noise(self) -> np.ndarray:
        """Return what our max-sensitivity adds to the normalised images, [turns B H W 3]."""
        key, std = jax.random.key(NOISE_SEED), np.asarray(self.pair.ours.normalisation.std, np.float32)

        def draw(index: int, turn: int) -> np.ndarray:
            own = jax.random.fold_in(jax.random.fold_in(key, index), turn)
            shape = self.pair.images.shape[1:]
            return np.asarray(jax.random.uniform(own, shape, minval=-RADIUS, maxval=RADIUS)) / std

        count = len(self.pair.images)
        return np.stack([[draw(index, turn) for index in range(count)] for turn in range(TURNS)])

    def other_labels(self) -> np.ndarray:
        """Return the other classes of our random-logit test, [B]."""
        key, classes = jax.random.key(CLASS_SEED), self.pair.ours.num_classes
        steps = [jax.random.randint(jax.random.fold_in(key, i), (), 1, classes) for i in range(len(self.pair.labels))]
        return (self.pair.labels + np.asarray(steps)) % classes

    def sets(self) -> np.ndarray:
        """Return the pixels of each of the sets that our MuFidelity and infidelity erase, [T H W]."""
        cells = draw_sets()
        rows, columns = (cells.places(length) for length in self.pair.size)
        return np.asarray(cells.erased)[:, rows[:, None] * cells.side + columns]


def _judge(
    network: Network, images: jax.Array, labels: jax.Array, indices: jax.Array, plan: Plan
) -> dict[str, jax.Array]:
    found = run({"": network}, Views(images, labels[:, None], indices), plan)
    return {name: values[0] for name, values in found.measures[0].items()}


def _place(symbol: str, normalisation: Normalisation, maps: jax.Array, truth: jax.Array) -> jax.Array:
    metric = METRICS[symbol]
    measure: Callable[[Case], dict[str, jax.Array]] = metric.measure  # type: ignore[assignment]
    nothing = jnp.zeros((*maps.shape, 3))  # no image is looked at
    return measure(Case(nothing, maps, jnp.arange(len(maps)), CASTREAM, normalisation, truth))[metric.column]
