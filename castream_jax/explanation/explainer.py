"""What a network sees in one picture: probabilities, the attention of every block, and maps of several classes.

One picture at a time, so that a progress bar moves. All classes and poolings share the passes that maps ask for.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8

from castream_jax.attribution import METHODS
from castream_jax.binding.choices import choose_methods
from castream_jax.binding.chunk import check_chunk, choose_chunk
from castream_jax.binding.maps import MapKey, explained_keys, has_map
from castream_jax.binding.program import Plan, Views, run
from castream_jax.compute.masking import min_max
from castream_jax.errors import InputError
from castream_jax.explanation.view import View
from castream_jax.models.answers import NOTHING, check_probabilities
from castream_jax.models.network import Features, Network
from castream_jax.wording import describe_odd

LISTED, EXPLAINED = 5, 3
"""Top predictions that are listed, and that are explained where no classes are asked for."""
LARGE = 20_000_000
"""Parameters of a network whose maps take a CPU a minute or more, where they ask for a thousand passes."""
ROUNDING = 1e-9
"""Of shares of the work that are added up."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} pictures [{elapsed}<{remaining}]"

Flagged = tuple[Float[Array, "K h w"], Bool[Array, "K"], Bool[Array, "K"]]
"""Maps; which of them were not numbers; which had nothing positive."""


@dataclass(frozen=True, eq=False)
class Explained:
    """One picture and what the network sees in it."""

    view: View
    probabilities: dict[str, Float[np.ndarray, "C"]]
    """Of each class, by pooling."""
    classes: tuple[int, ...]
    """The K classes explained, the predicted ones first if none were asked for."""
    drawn: int
    """How many of these, the first ones, a figure shows."""
    maps: dict[MapKey, Float[np.ndarray, "K _ _"]]
    """By (attribution, pooling), in 0..1. Raw attention is the same for every class."""
    blocks: tuple[Float[np.ndarray, "_ _"], ...]
    """The attention of each block of the stream, min-max scaled; empty for a GAP network."""
    nan: dict[MapKey, Bool[np.ndarray, "K"]] = field(default_factory=dict)
    """Which of `maps` held a NaN or an infinity, and became zeros."""
    all_negative: dict[MapKey, Bool[np.ndarray, "K"]] = field(default_factory=dict)
    """Which of `maps` had no positive value before their ReLU, which left zeros."""

    @property
    def name(self) -> str:
        """The picture's name."""
        return self.view.name

    @property
    def pixels(self) -> UInt8[np.ndarray, "H W C"]:
        """What the network saw."""
        return self.view.pixels

    @property
    def ratio(self) -> float:
        """Height over width of the picture."""
        return self.view.ratio

    @property
    def predicted(self) -> dict[str, int]:
        """The predicted class by pooling; -1 where its probabilities are not numbers."""
        return {
            pooling: int(values.argmax()) if np.isfinite(values).all() else NOTHING
            for pooling, values in self.probabilities.items()
        }

    def remark(self, key: MapKey, k: int) -> str:
        """Return what is wrong with the map of the k-th class, in words; empty where nothing is."""
        flags = {"nan": self.nan, "all_negative": self.all_negative}
        said = {name: found[key][k] for name, found in flags.items() if key in found}
        return describe_odd(said | {"flat": not self.maps[key][k].any()})


@dataclass(frozen=True, eq=False)
class Seen:
    """What one forward pass over a picture gives."""

    images: Float[Array, "1 H W c"]
    """Normalised."""
    features: Features
    probabilities: dict[str, Float[np.ndarray, "C"]]
    """Of each class, by pooling, GAP first."""
    blocks: tuple[Float[np.ndarray, "_ _"], ...]
    """The attention of each block of the stream, min-max scaled; empty for a GAP network."""


class Explainer:
    """Explains pictures to one network's maps; compiled once for each size of pictures and number of classes."""

    def __init__(
        self,
        model: Network,
        methods: Sequence[str],
        target: str | None = None,
        chunk: int = 0,
        tells: bool | None = None,
    ):
        """Check what is asked for.

        Args:
          model: the network; a stream's GAP network is explained beside it.
          methods: of `ca.METHODS`, or records of one's own by address; raw attention is left out where there is no
            stream.
          target: the feature map that CAMs start from; None: the paper's.
          chunk: masked images in one forward pass of Score-CAM; 0: what suits the device's memory.
          tells: whether progress is told within a picture, too. A program that tells is compiled by every process anew,
            for JAX keeps none that calls the host; None: where a picture takes far longer than that.

        Raises:
          InputError: an unknown method or target, no method that the network has, a chunk below 0, one class only.
        """
        check_probabilities(model.name, model.num_classes, model.score)
        if not methods:
            raise InputError(f"there are no methods: expected some of {', '.join(METHODS)}.")
        records = choose_methods(tuple(dict.fromkeys(methods)))
        check_chunk(chunk)
        self._keys = explained_keys(model.poolings(), records)
        holders = model.poolings().values()
        self.methods = tuple(method for method in records if any(has_map(method, network) for network in holders))
        self.model, self.target, self.chunk = model, model.target(target), chunk
        self._graphdef, self._state = nnx.split(model)
        self._tells = takes_long(self._state) if tells is None else tells
        self._advance: Callable[[float], object] = lambda share: None
        self._left = 0.0

    def see(self, view: View) -> Seen:
        """Return the answers of each pooling to a picture, and the feature maps that its maps are made from."""
        images = self.model.normalisation(view.pixels[None]) if view.images is None else view.images
        features, answered, blocks = look(self._graphdef, self._state, images)
        probabilities = {name: np.asarray(answered[name], np.float32) for name in self.model.poolings()}
        return Seen(images, features, probabilities, tuple(map(np.asarray, blocks)))

    def explain(
        self, view: View, classes: Sequence[int] | None, advance: Callable[[float], object] = lambda _: None
    ) -> Explained:
        """Return what the network sees in a picture.

        Args:
          view: the picture.
          classes: to explain; None: the predicted ones, and the next in rank up to `EXPLAINED`.
          advance: told of each share of the work that is done.
        """
        seen = self.see(view)
        images, probabilities = seen.images, seen.probabilities
        answers = {int(values.argmax()) for values in probabilities.values() if np.isfinite(values).all()}
        drawn = len(classes) if classes else max(1, len(answers))
        chosen = tuple(classes) if classes else rank(probabilities)[: max(EXPLAINED, drawn)]
        labels = jnp.asarray(chosen, jnp.int32)
        chunk = self.chunk or choose_chunk(self.model, (images.shape[1], images.shape[2]))
        plan = Plan(self.target, chunk, self.methods, tell=self._tell if self._tells else None)
        self._advance, self._left = advance, 1.0
        found = explain_classes(self._graphdef, self._state, images, seen.features, labels, plan)
        maps, nan, all_negative = ({key: np.asarray(found[key][i]) for key in self._keys} for i in range(3))
        jax.effects_barrier()  # all that was told has been heard
        if self._left > ROUNDING:
            advance(self._left)
        return Explained(
            view=view,
            probabilities=probabilities,
            classes=chosen,
            drawn=drawn,
            maps=maps,
            blocks=seen.blocks,
            nan=nan,
            all_negative=all_negative,
        )

    def _tell(self, done: Any, chunks: Any) -> None:
        """Pass on that one of so many chunks is done."""
        share = min(1 / int(chunks), self._left)
        self._left -= share
        self._advance(share)


def takes_long(state: nnx.State) -> bool:
    """Return whether a network's maps may take minutes: it is a large one, on a CPU."""
    return jax.default_backend() == "cpu" and sum(x.size for x in jax.tree.leaves(state)) > LARGE


def rank(probabilities: dict[str, Float[np.ndarray, "C"]]) -> tuple[int, ...]:
    """Return all classes, by their best rank in any pooling; where that is the same, the most probable first.

    A pooling whose probabilities are not numbers ranks none.
    """
    numbers = [found for found in probabilities.values() if np.isfinite(found).all()] or [
        np.zeros_like(found) for found in probabilities.values()
    ]
    ranks = np.min([np.argsort(np.argsort(-values, kind="stable")) for values in numbers], axis=0)
    highest = np.max(numbers, axis=0)
    return tuple(int(label) for label in np.lexsort((-highest, ranks)))


@functools.partial(jax.jit, static_argnames=("graphdef",))
def look(
    graphdef: nnx.GraphDef, state: nnx.State, images: Float[Array, "1 H W 3"]
) -> tuple[Features, dict[str, Float[Array, "C"]], list[Float[Array, "_ _"]]]:
    """Return feature maps, each pooling's probabilities, and each block's attention."""
    model: Network = nnx.merge(graphdef, state)
    features = model.features(images)
    probabilities = {name: network.scores(network.head(features)[0])[0] for name, network in model.poolings().items()}
    return features, probabilities, [min_max(block.mean(1))[0] for block in model.head(features)[1]]


@functools.partial(jax.jit, static_argnames=("graphdef", "plan"))
def explain_classes(
    graphdef: nnx.GraphDef,
    state: nnx.State,
    images: Float[Array, "1 H W C"],
    features: Features,
    labels: Int[Array, "K"],
    plan: Plan,
) -> dict[MapKey, Flagged]:
    """Return the maps of K classes of one picture."""
    model: Network = nnx.merge(graphdef, state)
    found = run(model.poolings(), Views(images, labels[None]), plan, features).computed
    return {key: (found.maps[key][0], found.nan[key][0], found.all_negative[key][0]) for key in found.maps}
