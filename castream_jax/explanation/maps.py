"""What a network sees in one picture: probabilities, the attention of every block, and maps of several classes.

One picture at a time, so that a progress bar moves; Score-CAM, which takes long, by groups of channels. All classes
and both poolings share its passes.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8

from castream_jax.attribution.attention import attention_map
from castream_jax.attribution.gradient import weighted_sum
from castream_jax.attribution.score import score_cam_weights
from castream_jax.errors import InputError, choose
from castream_jax.evaluation.chunk import check_chunk, choose_chunk
from castream_jax.evaluation.maps import (
    METHODS,
    MapKey,
    check_method,
    compute_maps,
    has_map,
    joint_labels,
    joint_probabilities,
)
from castream_jax.masking import min_max
from castream_jax.models.answers import NOTHING, check_probabilities
from castream_jax.models.classifier import Classifier, Features
from castream_jax.names import describe_odd

LISTED, EXPLAINED = 5, 3
"""Top predictions that are listed, and that are explained where no classes are asked for."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} pictures [{elapsed}<{remaining}]"
TURNS = 16
"""Times that the progress bar moves during one Score-CAM, at most."""


Flagged = tuple[Float[Array, "K h w"], Bool[Array, "K"], Bool[Array, "K"]]
"""Maps; which of them were not numbers; which had nothing positive."""


@dataclass(frozen=True, eq=False)
class Explained:
    """One picture and what the network sees in it."""

    name: str
    pixels: UInt8[np.ndarray, "H W 3"]
    """What the network saw."""
    ratio: float
    """Height over width of the picture."""
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


class Explainer:
    """Explains pictures to one network's maps; compiled once for each size of pictures and number of classes."""

    def __init__(self, model: Classifier, methods: Sequence[str], target: str | None = None, chunk: int = 0):
        """Check what is asked for.

        Args:
          model: the network; a stream's GAP network is explained beside it.
          methods: of `evaluation.maps.METHODS`; raw attention is left out where there is no stream.
          target: the feature map that CAMs start from; None: the paper's.
          chunk: masked images in one forward pass of Score-CAM; 0: what suits the device's memory.

        Raises:
          InputError: an unknown method or target, no method that the network has, a chunk below 0, one class only.
        """
        check_probabilities(model.name, model.num_classes)
        if not methods:
            raise InputError(f"there are no methods: expected some of {', '.join(METHODS)}.")
        for method in methods:
            choose("method", method, METHODS)
        check_chunk(chunk)
        self.methods = tuple(method for method in dict.fromkeys(methods) if has_map(method, model))
        if not self.methods:
            check_method(methods[0], model)
        self.model, self.target, self.chunk = model, model.target(target), chunk
        self._graphdef, self._state = nnx.split(model)

    def explain(
        self,
        name: str,
        pixels: UInt8[np.ndarray, "H W 3"],
        ratio: float,
        classes: Sequence[int] | None,
        advance: Callable[[float], object],
        images: Float[Array, "1 H W 3"] | None = None,
    ) -> Explained:
        """Return what the network sees in a picture.

        Args:
          name, pixels, ratio: as in `Explained`.
          classes: to explain; None: the predicted ones, and the next in rank up to `EXPLAINED`.
          advance: told of each share of the work that is done.
          images: the normalised picture; None: normalised from `pixels`.
        """
        images = self.model.normalisation(pixels[None]) if images is None else images
        features, answered, blocks = look(self._graphdef, self._state, images)
        probabilities = {name: np.asarray(answered[name], np.float32) for name in self.model.poolings()}  # GAP first
        answers = {int(values.argmax()) for values in probabilities.values() if np.isfinite(values).all()}
        drawn = len(classes) if classes else max(1, len(answers))
        chosen = tuple(classes) if classes else rank(probabilities)[: max(EXPLAINED, drawn)]
        labels = jnp.asarray(chosen, jnp.int32)
        others = tuple(method for method in self.methods if method != "score_cam")
        found = explain_classes(self._graphdef, self._state, features, labels, others, self.target) if others else {}
        if "score_cam" in self.methods:
            found |= self._score_cam(images, features[self.target], labels, advance)
        else:
            advance(1)
        order = [(method, pooling) for method in self.methods for pooling in probabilities]
        maps, nan, all_negative = ({key: np.asarray(found[key][i]) for key in order if key in found} for i in range(3))
        return Explained(
            name=name,
            pixels=pixels,
            ratio=ratio,
            probabilities=probabilities,
            classes=chosen,
            drawn=drawn,
            maps=maps,
            blocks=tuple(map(np.asarray, blocks)),
            nan=nan,
            all_negative=all_negative,
        )

    def _score_cam(
        self,
        images: Float[Array, "1 H W 3"],
        feature_map: Float[Array, "1 h w C"],
        labels: Int[Array, "K"],
        advance: Callable[[float], object],
    ) -> dict[MapKey, Flagged]:
        """Return the Score-CAM maps of every pooling; groups of channels differ from one pass in rounding alone."""
        networks = list(self.model.poolings())
        channels = feature_map.shape[-1]
        chunk = self.chunk or choose_chunk(self.model, (images.shape[1], images.shape[2]))
        group = min(channels, chunk * -(-channels // (chunk * TURNS)))
        groups = -(-channels // group)
        padded = jnp.pad(feature_map, ((0, 0), (0, 0), (0, 0), (0, groups * group - channels)))  # flat: no passes
        weights = []
        for i in range(groups):
            part = padded[..., i * group : (i + 1) * group]
            weights.append(weigh(self._graphdef, self._state, images, part, labels, chunk).block_until_ready())
            advance(1 / groups)
        combined = combine(feature_map, jnp.concatenate(weights)[:channels])  # of SK maps
        split = [values.reshape(len(networks), len(labels), *values.shape[1:]) for values in combined]
        return {("score_cam", pooling): tuple(values[i] for values in split) for i, pooling in enumerate(networks)}


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
    model: Classifier = nnx.merge(graphdef, state)
    features = model.features(images)
    probabilities = {name: jax.nn.softmax(network.head(features)[0])[0] for name, network in model.poolings().items()}
    return features, probabilities, [attention_map(block)[0] for block in model.head(features)[1]]


@functools.partial(jax.jit, static_argnames=("graphdef", "methods", "target"))
def explain_classes(
    graphdef: nnx.GraphDef,
    state: nnx.State,
    features: Features,
    labels: Int[Array, "K"],
    methods: tuple[str, ...],
    target: str,
) -> dict[MapKey, Flagged]:
    """Return the maps of K classes of one picture, of methods that need no further pass: its features K times."""
    model: Classifier = nnx.merge(graphdef, state)
    networks = model.poolings()
    repeated = {name: jnp.repeat(values, len(labels), axis=0) for name, values in features.items()}
    unused = jnp.zeros((len(labels), 1, 1, 3))
    found = compute_maps(networks, unused, repeated, dict.fromkeys(networks, labels), methods, target, chunk=1)
    return {key: (found.maps[key], found.nan[key], found.all_negative[key]) for key in found.maps}


@functools.partial(jax.jit, static_argnames=("graphdef", "chunk"))
def weigh(
    graphdef: nnx.GraphDef,
    state: nnx.State,
    images: Float[Array, "1 H W 3"],
    channels: Float[Array, "1 h w c"],
    labels: Int[Array, "K"],
    chunk: int,
) -> Float[Array, "c SK"]:
    """Return the weights of some channels for every class under every pooling."""
    model: Classifier = nnx.merge(graphdef, state)
    networks = list(model.poolings().values())
    columns = joint_labels(networks, jnp.broadcast_to(labels, (len(networks), len(labels)))).reshape(1, -1)  # [1 SK]
    mean, std = model.normalisation.mean, model.normalisation.std
    score_fn = joint_probabilities(networks)
    return score_cam_weights(score_fn, channels, images, columns, mean, std, chunk).values[0]


@jax.jit
def combine(feature_map: Float[Array, "1 h w C"], weights: Float[Array, "C n"]) -> Flagged:
    """Return the n maps that weights make, min-max scaled; zeros where one is not finite."""
    sums = jnp.stack([weighted_sum(feature_map, weights[None, :, i])[0] for i in range(weights.shape[1])])
    finite = jnp.isfinite(sums).all((1, 2), keepdims=True)
    maps = jnp.where(finite, min_max(jax.nn.relu(sums)), 0.0)
    return maps, ~finite[:, 0, 0], sums.max((1, 2)) <= 0
