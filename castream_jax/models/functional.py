"""A network of two functions of the user's own, in any library that computes with JAX.

    net = network(features=features, head=head, mean=(0.5,) * 3, std=(0.5,) * 3)

The arrays that the functions close over become the network's: they are its state, as the arrays of a `Classifier` are,
and no constants of compiled programs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Float

from castream_jax.errors import InputError, choose
from castream_jax.models.captured import evaluate
from castream_jax.models.inputs import USUAL_SIZE, Normalisation, Preprocessing, create_normalisation
from castream_jax.models.network import Features
from castream_jax.models.scores import Score, check_score, compute_scores
from castream_jax.models.traced import Functions

POOLING = "network"
"""The key of its only pooling."""


class FunctionalNetwork(nnx.Module):
    """Two functions and the arrays that they close over; `network` creates it."""

    def __init__(
        self,
        name: str,
        functions: Functions,
        normalisation: Normalisation,
        preprocessing: Preprocessing | None,
        targets: tuple[str, ...],
        class_names: tuple[str, ...],
        score: Score,
    ):
        """Put together what `network` has checked."""
        self.name = name
        self.functions = functions
        self.arrays = nnx.List([nnx.Variable(jnp.asarray(array)) for array in functions.captured.arrays])
        self.normalisation = normalisation
        self.preprocessing = preprocessing
        self.targets = targets
        self.class_names = class_names
        self.score = score
        self.notes: tuple[str, ...] = ()

    @property
    def pooling(self) -> str:
        return POOLING

    @property
    def num_classes(self) -> int:
        return max(self.functions.num_logits, 2) if self.score == "sigmoid" else self.functions.num_logits

    @property
    def has_attention(self) -> bool:
        return False

    def features(self, images: Float[Array, "B H W C"]) -> Features:
        """Return the named feature maps of normalised images, of any size that the user's function takes.

        Raises:
          InputError: the function fails on these images, or returns no feature maps for them.
        """
        closed, shapes = self.functions.trace_features(images)
        return dict(zip(sorted(shapes), self._evaluate(closed, images), strict=True))

    def head(self, features: Features) -> tuple[Float[Array, "B K"], tuple[()]]:
        """Return logits, and no attention; of one logit z under a sigmoid, the logits -z and z of "no" and "yes".

        Raises:
          InputError: the function fails on these features, or returns no logits for them.
        """
        closed = self.functions.trace_head(features)
        (logits,) = self._evaluate(closed, {name: features[name] for name in self.functions.names})
        logits = logits.astype(jnp.float32)
        if self.num_classes > logits.shape[1]:
            logits = jnp.concatenate([-logits, logits], 1)  # [B 2]
        return logits, ()

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B K"]:
        """Return logits."""
        return self.head(self.features(images))[0]

    def scores(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Return each class's score in 0..1."""
        return compute_scores(self.score, logits)

    def replace(self, features: Features, target: str, feature_map: Float[Array, "B h w D"]) -> Features:
        """Return `features` with `target` set to `feature_map`: the head starts from there."""
        return features | {target: feature_map}

    def target(self, name: str | None) -> str:
        """Return the feature map that attributions start from: `name`, or the first of `targets`."""
        return self.targets[0] if name is None else choose("target", name, self.targets)

    def poolings(self) -> dict[str, "FunctionalNetwork"]:
        """Return itself, its only pooling."""
        return {POOLING: self}

    def _evaluate(self, closed: ClosedJaxpr, argument: Any) -> list[Array]:
        """Return what a traced function computes, with this network's arrays for those it closed over."""
        find = self.functions.captured.find

        def substitute(constant: Any) -> Any:
            place = find(constant)
            return constant if place is None else self.arrays[place][...]

        return evaluate(closed, jax.tree.leaves(argument), substitute)


def network(
    features: Callable[..., Any],
    head: Callable[..., Any],
    mean: Any,
    std: Any,
    score: Score = "softmax",
    name: str = "network",
    targets: Sequence[str] = (),
    class_names: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    size: int | None = None,
) -> FunctionalNetwork:
    """Return a network of two functions, which is explained and evaluated as a `Classifier` is.

    Args:
      features: from normalised images [B H W C], float32, to named feature maps [B h w D], in a dict, or to one map. It
        treats each image by itself: no dropout, no statistics of the batch. A dict that comes out of `jax.jit` is in
        the order of the names.
      head: from what `features` returns to logits [B K].
      mean, std: of pixels in 0..1, for each channel of the images: the input is `(pixels - mean) / std`.
      score: how logits become scores in 0..1: "softmax", "sigmoid" (a single logit then is of the class 1 against the
        class 0), or a function of logits [B K].
      name: what messages and tables call it.
      targets: the maps that attributions may start from, the default one first; empty: those that `head` reads, the
        last one first.
      class_names: by label; empty: not known.
      preprocessing: how pictures become its input; None: not known.
      size: of the square images that the functions are first tried with, in pixels. None: that of `preprocessing`, or
        224. One that is given says what pictures become, too: where there is no preprocessing, squares of that size.

    Raises:
      InputError: what a function returns is not what is expected of it, or it fails; a mean and std that do not go
        together; an unknown target or score; names of another number of classes.
    """
    normalisation = create_normalisation(mean, std)
    if size is not None and size < 1:
        raise InputError(f"size is {size}: expected a number of pixels, 1 or more.")
    if preprocessing is None and size is not None:
        preprocessing = Preprocessing(size)
    side = size or (preprocessing.size if preprocessing else USUAL_SIZE)
    functions = Functions(name, features, head, (side, side, len(normalisation.mean)))
    if isinstance(targets, str):
        raise InputError(f"targets are {targets!r}: expected the names of feature maps in a list.")
    for target in targets:
        choose(f"target of {name}:", target, functions.names)
        if target not in functions.read:
            raise InputError(
                f"targets name {target!r}, which head of {name} does not read: nothing would depend on it."
            )
    model = FunctionalNetwork(
        name,
        functions,
        normalisation,
        preprocessing,
        tuple(targets) or functions.read[::-1],
        tuple(map(str, class_names)),
        check_score(score),
    )
    if isinstance(class_names, str) or len(class_names) not in (0, model.num_classes):
        raise InputError(f"class_names are {len(class_names)}: expected the names of {model.num_classes} classes.")
    return model
