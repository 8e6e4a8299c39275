"""A network whose weights are drawn again from its classifier down to its stem, one part after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Int

from castream_jax.errors import InputError
from castream_jax.models.classifier import ARCHITECTURES, Classifier, create_model
from castream_jax.models.network import Network
from castream_jax.poolings.stream import Stream

SEED = 1
"""Of the weights that are drawn again, beside that of an experiment's own."""


@runtime_checkable
class Parted(Protocol):
    """A backbone that knows its parts."""

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """From the images up: names, and how the paths of their arrays begin."""


def check_can_be_drawn(model: Network) -> Classifier:
    """Return a network whose weights can be drawn again.

    Raises:
      InputError: its architecture is not one of ours by name: nobody says how its weights are drawn.
    """
    if not isinstance(model, Classifier) or model.name not in ARCHITECTURES:
        raise InputError(
            f"a metric needs the weights of {model.name} drawn again, and only those of {', '.join(ARCHITECTURES)} can "
            "be: leave out of evaluation.metrics those that randomise the network."
        )
    return model


def draw_again(model: Network) -> nnx.State:
    """Return the arrays of the same network with fresh weights, and statistics as they are before training.

    Raises:
      InputError: as for `check_can_be_drawn`, or a network of other parts than its name says.

    Source: Adebayo et al., 2018, each part by its own initialiser.
    """
    model = check_can_be_drawn(model)
    dtype = str(getattr(model.backbone, "dtype", "float32"))
    heads = next((getattr(getattr(model, choice.part), "heads", 1) for choice in model.choices), 1)
    poolings = [choice.text for choice in model.choices] or "gap"
    fresh = nnx.state(create_model(model.name, poolings, model.num_classes, heads, SEED, dtype))
    if _shapes(fresh) != _shapes(nnx.state(model)):
        raise InputError(
            f"a metric needs the weights of {model.name} drawn again, and this network has other parts than one of "
            "that name: leave out of evaluation.metrics those that randomise the network."
        )
    return fresh


def _shapes(state: nnx.State) -> dict[tuple[object, ...], tuple[int, ...]]:
    """Return the shapes of a network's arrays by path."""
    return {path: variable.shape for path, variable in nnx.to_flat_state(state)}


def list_parts(model: Classifier) -> dict[str, tuple[str, ...]]:
    """Return the parts of a network from its classifier down: names, and how the paths of their arrays begin."""
    parts = {"classifier": ("classifier",)}
    for choice in model.choices:
        module = getattr(model, choice.part)
        if isinstance(module, Stream):
            for number in reversed(range(len(module.projections))):
                query = () if number else (f"{choice.part}.query",)
                name = f"block{number + 1}" if choice.text == "ca" else f"{choice.text} block{number + 1}"
                parts[name] = (f"{choice.part}.projections.{number}", *query)
        else:
            parts[choice.text] = (choice.part,)
    assert isinstance(model.backbone, Parted)
    own = reversed(model.backbone.parts.items())
    return parts | {name: tuple(f"backbone.{path}" for path in paths) for name, paths in own}


@dataclass(frozen=True)
class Cascade:
    """A network on its way to fresh weights."""

    graphdef: nnx.GraphDef
    state: nnx.State
    """Its own arrays."""
    fresh: nnx.State
    """Those of `draw_again`."""

    @cached_property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """The names of its parts, from the classifier down, and how the paths of their arrays begin."""
        return list_parts(nnx.merge(self.graphdef, self.state))

    def networks(self, count: Int[Array, ""]) -> Mapping[str, Network]:
        """Return the network by pooling, with its first `count` parts drawn again."""
        fresh = dict(nnx.to_flat_state(self.fresh))
        mixed = [
            (path, variable.replace(jnp.where(self._number(path) < count, fresh[path][...], variable[...])))
            for path, variable in nnx.to_flat_state(self.state)
        ]
        model: Network = nnx.merge(self.graphdef, nnx.from_flat_state(mixed))
        return model.poolings()

    def _number(self, path: tuple[object, ...]) -> int:
        """Return the place of the part that an array belongs to."""
        name = ".".join(map(str, path)) + "."
        return next(i for i, begins in enumerate(self.parts.values()) if any(name.startswith(f"{b}.") for b in begins))
