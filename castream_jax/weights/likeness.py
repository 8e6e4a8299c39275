"""Whose weights these look like: for the message that they do not fit."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from castream_jax.models.families import FAMILIES, resolve
from castream_jax.weights.matching import count_prefixes, name_all
from castream_jax.weights.names import list_schemes

Shape = tuple[int, ...]
ENOUGH = 0.9
"""Share of a trunk's arrays that must be there, with their shapes, for weights to look like it."""
FEWEST = 80
"""Arrays of weights that are compared at all: the smallest trunk has 95."""


def find_likeness(given: Mapping[str, Shape]) -> tuple[str, str] | None:
    """Return the architecture that weights look most like, and the naming; None if they look like none of ours.

    Args:
      given: the state dict's names and shapes. The classifier counts for nothing: classes differ.
    """
    if len(given) < FEWEST:
        return None
    best: tuple[float, tuple[str, str]] = (ENOUGH, ("", ""))
    for family in FAMILIES:
        for architecture in family.specs:
            share, scheme = compare(given, architecture)
            if share > best[0]:
                best = share, (architecture, scheme)
            if share == 1:
                return best[1]
            if not share:
                break  # none of the family's names is there
    return best[1] if best[1][0] else None


@functools.cache
def measure_trunk(architecture: str) -> dict[tuple[Any, ...], Shape]:
    """Return the paths and shapes of a trunk's arrays, without computing any."""
    _, family, spec = resolve(architecture)
    abstract = nnx.eval_shape(lambda: family.create(spec, jnp.dtype("float32"), nnx.Rngs(0)))
    return {("backbone", *path): leaf.shape for path, leaf in nnx.to_flat_state(nnx.state(abstract))}


def compare(given: Mapping[str, Shape], architecture: str) -> tuple[float, str]:
    """Return the share of a trunk's arrays that are there, among those that either has, and in which naming.

    Of an array that only the weights have, the name counts where it stands as deep as the trunk's: a network with more
    blocks is another one.
    """
    shapes = measure_trunk(architecture)
    found = (0.0, "")
    for scheme in list_schemes(architecture):
        for root in {"", scheme.root}:
            names = name_all(scheme, shapes, root)
            prefixes = count_prefixes(given, set(names.values()))
            if not prefixes:
                continue
            prefix = max(prefixes, key=lambda each: (prefixes[each], -len(each)))
            fitting = sum(
                given.get(prefix + name) == scheme.shape(scheme.key(path) or "", shapes[path])
                for path, name in names.items()
            )
            blocks = {(prefix + name).rpartition(".")[0].rpartition(".")[0] for name in names.values()}
            others = given.keys() - {prefix + name for name in names.values()}
            stages = {block.rpartition(".")[0] for block in blocks if block.rpartition(".")[2].isdigit()}
            more = sum(any(key.startswith(f"{stage}.") for stage in stages if stage) for key in others)
            found = max(found, (max(fitting, 1e-9) / (len(names) + more), scheme.name))
    return found


def describe_likeness(given: Mapping[str, Shape], architecture: str) -> str:
    """Return the start of a message on weights that do not fit: whose they look like, if not the model's own."""
    found = find_likeness(given)
    if found is None or found[0] == architecture:
        return ""
    name, scheme = found
    return (
        f"these look like the weights of {name} (in the names of {scheme}), and the model is {architecture}: take "
        f"--config.model.name={name}, or create_model({name!r}). As it is, "
    )
