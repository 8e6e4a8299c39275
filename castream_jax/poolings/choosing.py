"""The poolings that a config or a call names, and the modules that they put into a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from castream_jax.errors import InputError
from castream_jax.importing import import_object
from castream_jax.poolings import POOLINGS
from castream_jax.poolings.choice import Choice, read_choices
from castream_jax.poolings.pooling import Option, Pooling, Site

PARTS_OF_A_NETWORK = ("backbone", "classifier")
"""What stands in a network beside its poolings."""


def choose_poolings(poolings: str | Sequence[str]) -> tuple[Choice, ...]:
    """Return the poolings that a config or a call names beside global average pooling, which is always there.

    Args:
      poolings: "ca", "ca, simpool", or a sequence; `choice.read_choices` says how options are written. A user's own
        record is named by its address, "my_package.poolings:mine".

    Raises:
      InputError: as `read_choices`, or an address of something else.
    """
    choices = read_choices(poolings, POOLINGS, _find_own)
    parts = [choice.part for choice in choices]
    for part in parts:
        if parts.count(part) > 1 or part in PARTS_OF_A_NETWORK:
            raise InputError(f"pooling {part!r} would bear the name of another part of the network: rename it.")
    for choice in choices:
        if choice.pooling.create is None and (choice.taps or choice.chosen):
            raise InputError(f"pooling {choice.text!r}: {choice.pooling.key} has no options, and reads the last map.")
    return tuple(choice for choice in choices if choice.pooling.create is not None)


def is_trained(choices: Sequence[Choice]) -> bool:
    """Return whether any of some poolings has something to train."""
    return any(choice.trains for choice in choices)


def _find_own(address: str) -> Pooling:
    """Return a user's own record, which joins the known ones."""
    record = import_object("pooling", address)
    if not isinstance(record, Pooling):
        raise InputError(f"pooling {address!r} is {type(record).__name__}: expected a Pooling of castream_jax.")
    if POOLINGS.get(record.key, record) is not record:
        raise InputError(f"pooling {address!r} has the key {record.key!r}, which another one has: give it another.")
    POOLINGS[record.key] = record
    return record


@dataclass(frozen=True)
class Trunk:
    """What poolings are put on."""

    taps: tuple[str, ...]
    """The feature maps that a stream reads, in order; other poolings read the last one."""
    widths: Mapping[str, int]
    """The channels of every feature map that may be read."""
    initializer: nnx.Initializer
    """Of projections."""

    def taps_of(self, choice: Choice) -> tuple[str, ...]:
        """Return the feature maps that a pooling reads."""
        return choice.taps or (self.taps if choice.pooling.reads == "all" else self.taps[-1:])


def create_modules(
    choices: Sequence[Choice], trunk: Trunk, rngs: nnx.Rngs, usual: Mapping[str, Option]
) -> dict[str, Any]:
    """Return the modules of some poolings by their texts, each with fresh parameters.

    Args:
      choices: the poolings.
      trunk: what they are put on.
      rngs: random numbers: each pooling draws from where they stand, so that it starts alike whatever stands beside it.
      usual: options of all that have them, where a pooling does not name its own.

    Raises:
      InputError: an unknown tap, an option that does not suit the widths.
    """
    modules = {}
    for choice in choices:
        taps = trunk.taps_of(choice)
        for tap in taps:
            if tap not in trunk.widths:
                raise InputError(
                    f"pooling {choice.text!r} reads {tap!r}: expected feature maps among {', '.join(trunk.widths)}."
                )
        widths = tuple(trunk.widths[tap] for tap in taps)
        site = Site(taps, widths, trunk.widths[trunk.taps[-1]], trunk.initializer, nnx.clone(rngs))
        assert choice.pooling.create is not None
        modules[choice.text] = choice.pooling.create(site, **choice.options(usual))
        if choice.taps:
            check_taps(choice, site, modules[choice.text])
    return modules


def check_taps(choice: Choice, site: Site, module: Any) -> None:
    """Raise `InputError` unless a pooling reads so many feature maps, and gives what the classifier takes of them."""
    if choice.pooling.reads == "last" and len(site.taps) > 1:
        raise InputError(f"pooling {choice.text!r} names {len(site.taps)} taps: {choice.pooling.key} reads one.")
    maps = [jax.ShapeDtypeStruct((1, 2, 2, width), jnp.float32) for width in site.widths]
    try:
        pooled = nnx.eval_shape(lambda module, maps: module(maps)[0], module, maps).shape[-1]
    except TypeError:  # it has layers of the classifier's width
        pooled = site.widths[-1]
    if pooled != site.features:
        raise InputError(
            f"pooling {choice.text!r} gives {pooled} channels where the classifier takes {site.features}: let it end "
            "at a feature map of that width, or name a pooling that projects."
        )


def keep_as_created(module: nnx.Module) -> nnx.Module:
    """Return a pooling's module whose parameters are none, so that no training sees them."""
    for _, owner in nnx.iter_graph(module):
        if isinstance(owner, nnx.Module):
            for name, value in vars(owner).items():
                if isinstance(value, nnx.Param):
                    setattr(owner, name, nnx.Variable(value[...]))
    return module
