"""One method or metric of ours beside a peer's: the same network and images, and what a difference comes from."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import castream_jax as ca
from benchmarks.comparison import largest
from benchmarks.interleaved import interleave, ratios
from benchmarks.peer_networks import StreamResNet, build, convert, spread_stream, to_torch
from castream_jax.attribution.gradient import gradient
from castream_jax.binding.shared_trunk import head_from

NETWORK = "resnet18"
TARGET = "stage4"
SAME = 1e-3
"""A larger difference has a reason, and is shown to come from it."""
CHUNK = 32
"""Images in one pass of ours, where their definition is computed with it."""

Compute = Callable[[], np.ndarray]


@dataclass(frozen=True, eq=False)
class Pair:
    """A network, ours and torch's, with the same weights; and the images to explain."""

    ours: Any
    theirs: Any
    """Of our networks with CA pooling a `StreamResNet`."""
    images: np.ndarray
    """[B H W 3], normalised."""
    labels: np.ndarray
    """[B], the classes that the network predicts, whose logits are positive."""

    @property
    def size(self) -> tuple[int, int]:
        """Of the images."""
        return self.images.shape[1], self.images.shape[2]

    def at(self, images: np.ndarray) -> "Pair":
        """Return the same networks and other images, with the classes that are predicted for them."""
        return Pair(self.ours, self.theirs, images, np.asarray(self.ours(images)).argmax(1).astype(np.int32))

    def first(self, count: int) -> "Pair":
        """Return the same networks and the first images."""
        return Pair(self.ours, self.theirs, self.images[:count], self.labels[:count])

    @functools.cached_property
    def stages(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The feature maps [B h w C] of the four stages and the gradients of the class's logit, the last stage first.

        Of the last one all else stays as it is; of an earlier one all that is computed from it changes.
        """
        taps = sorted((name for name in self.ours.targets if name.startswith("stage")), reverse=True)

        def find(model: ca.Classifier, images: jax.Array, labels: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
            features = model.features(images)
            heads = {tap: head_from(model, features, tap) for tap in taps}
            return [(features[tap], gradient(heads[tap], features[tap], labels)) for tap in taps]

        found = nnx.jit(find)(self.ours, jnp.asarray(self.images), jnp.asarray(self.labels))
        return [(np.asarray(a), np.asarray(g)) for a, g in found]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return our network's logits [n K] of any number of images, in chunks of one size."""
        found = []
        for first in range(0, len(images), CHUNK):
            some = images[first : first + CHUNK]
            padded = np.concatenate([some, np.zeros((CHUNK - len(some), *some.shape[1:]), some.dtype)])
            found.append(np.asarray(_forward(*nnx.split(self.ours), jnp.asarray(padded)))[: len(some)])
        return np.concatenate(found)

    def class_logits(self, images: np.ndarray) -> np.ndarray:
        """Return the logit of each image's class [n B] of images [n B H W 3]."""
        n, b = images.shape[:2]
        logits = self.logits(images.reshape(n * b, *images.shape[2:])).reshape(n, b, -1)
        return logits[:, np.arange(b), self.labels]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of each image's class [n B] of images [n B H W 3]."""
        n, b = images.shape[:2]
        logits = self.logits(images.reshape(n * b, *images.shape[2:]))
        return np.asarray(jax.nn.softmax(logits)).reshape(n, b, -1)[:, np.arange(b), self.labels]


@functools.partial(jax.jit, static_argnums=0)
def _forward(graphdef: nnx.GraphDef, state: nnx.State, images: jax.Array) -> jax.Array:
    return nnx.merge(graphdef, state)(images)


def create_pair(images: np.ndarray) -> Pair:
    """Return the networks, with seeded random weights.

    Pooled by attention: under GAP and one linear layer the gradient is the same at every position, and five of the maps
    are one.
    """
    network = build(NETWORK, images)
    ours = convert(NETWORK, network, "ca")
    spread_stream(ours, images)
    theirs = StreamResNet(network, ours).eval()
    labels = np.asarray(ours(images)).argmax(1).astype(np.int32)
    apart = largest(theirs(to_torch(images)).detach().numpy(), ours(images))
    assert apart < SAME, f"the networks' logits are {apart:.1e} apart"
    return Pair(ours, theirs, images, labels)


@dataclass(frozen=True)
class Trial:
    """What is computed by both."""

    what: str
    peer: str
    ours: Compute
    """What is timed, and its result, as theirs is after it."""
    theirs: Compute
    again: Compute | None = None
    """Their definition, computed with our code; None: it is ours."""
    reason: str = ""
    """Of a difference."""
    shown: Callable[[np.ndarray], np.ndarray] | None = None
    """From our result to what theirs is compared with, which takes no part in the times; None: as it is."""
    timed: tuple[Compute, Compute] | None = None
    """What is timed in place of ours and theirs, which are compared on another network."""
    rounds: int = 3


@dataclass(frozen=True)
class Row:
    """What a trial found."""

    what: str
    peer: str
    difference: float | None
    """The largest one of the results; None: theirs does not run."""
    again: float | None = None
    """The largest difference between theirs and their definition computed with our code; None: not asked."""
    reason: str = ""
    """Of a difference, or of a failure."""
    failure: str = ""
    """What theirs ended in."""
    ours_s: float = 0.0
    ratio: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The peer's time over ours: lower quartile, median, upper quartile of the rounds' ratios."""

    @property
    def is_explained(self) -> bool:
        """Whether a difference has a reason from which it is shown to come, and a failure has one."""
        if self.difference is None:
            return bool(self.reason)
        return self.difference <= SAME or bool(self.reason and self.again is not None and self.again <= SAME)

    def to_line(self, note: str) -> str:
        """Return a row of the Markdown table under `HEADER`; `note` is the reason's number."""
        low, middle, high = self.ratio
        if self.difference is None:
            return f"| {self.what} | {self.peer} | does not run | | {note} | | | |"
        again = "" if self.again is None else f"{self.again:.1e}"
        return (
            f"| {self.what} | {self.peer} | {self.difference:.1e} | {again} | {note} "
            f"| {1e3 * self.ours_s:.3g} | {middle:.3g} | {low:.3g}-{high:.3g} |"
        )


HEADER = """| what | peer | largest difference | to theirs by our code | reason | ours, ms | theirs / ours | quartiles |
|---|---|---:|---:|---|---:|---:|---:|"""


def try_out(trial: Trial) -> Row:
    """Return what a trial found; the calls that are compared are the first ones, and do not count in times."""
    ours = np.asarray(trial.ours())
    try:
        theirs = np.asarray(trial.theirs())
    except Exception as error:
        return Row(trial.what, trial.peer, None, reason=trial.reason, failure=f"{type(error).__name__}: {error}")
    difference = largest(trial.shown(ours) if trial.shown else ours, theirs)
    is_other = difference > SAME
    again = largest(trial.again(), theirs) if is_other and trial.again else None
    works = dict(zip(("ours", "theirs"), trial.timed or (trial.ours, trial.theirs)))
    times = interleave(works, trial.rounds, compiled=trial.timed is None)
    return Row(
        trial.what,
        trial.peer,
        difference,
        again,
        trial.reason if is_other else "",
        ours_s=float(np.median(times["ours"])),
        ratio=ratios(times["theirs"], times["ours"]),
    )
