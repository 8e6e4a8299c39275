"""What a pooling is: facts, and the module that it puts in the place of global average pooling."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float

from castream_jax.errors import InputError

Pooled = tuple[Float[Array, "B C"], tuple[Float[Array, "B heads _ _"], ...]]
"""The pooled feature, which the classifier sees, and the attention of each block, the last one last."""
Option = int | float | bool | str


@dataclass(frozen=True)
class Site:
    """Where a pooling is put."""

    taps: tuple[str, ...]
    """The feature maps that it reads, in order."""
    widths: tuple[int, ...]
    """Their channels."""
    features: int
    """What the classifier takes."""
    initializer: nnx.Initializer
    """Of projections: the reference draws them as it does the network's own layers."""
    rngs: nnx.Rngs


class PoolingModule(Protocol):
    """What a pooling trains: an `nnx.Module` that is called so."""

    def __call__(self, feature_maps: Sequence[Float[Array, "B _ _ _"]]) -> Pooled:
        """Pool the feature maps of the taps that it reads."""


@runtime_checkable
class Repooling(Protocol):
    """A module with attention that can be asked what another attention of its last block would pool."""

    def values(self, feature_map: Float[Array, "B h w D"]) -> Float[Array, "B h w C"]:
        """Return what the last block's attention weighs; each head has its part of the channels, in their order."""

    def repool(
        self, attention: Float[Array, "B heads h w"], feature_map: Float[Array, "B h w D"]
    ) -> Float[Array, "B C"]:
        """Return what that attention would pool of the last feature map."""


@dataclass(frozen=True, eq=False)
class Pooling:
    """One pooling; a list of them is `poolings.POOLINGS`."""

    key: str
    """Its name in configs, rows and Python."""
    name: str
    """For people, short enough for a column."""
    meaning: str
    """One sentence."""
    source: str
    trains: str
    """What it trains, in words; empty: nothing, and it is there as soon as the network is."""
    create: Callable[..., Any] | None = None
    """Returns its `PoolingModule` from a `Site` and its options by name; None: global average pooling itself."""
    reads: Literal["all", "last"] = "last"
    """The taps of the network that it reads, where none are named."""
    has_attention: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)
    """What may be chosen, and what is where nothing is."""
    part: str = ""
    """Under which name its arrays stand in a network; empty: its key."""


def check_divides(what: str, count: int, channels: int) -> None:
    """Raise `InputError` unless channels can be split into so many equal parts."""
    if count < 1 or channels % count:
        raise InputError(f"{what} is {count}: it must be at least 1 and divide the {channels} channels it splits.")
