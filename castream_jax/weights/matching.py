"""Finds a network in a state dict: the naming scheme, and the prefixes under which its names stand.

A network that was part of another module, or wrapped, has names like `module._orig_mod.encoder.layer1.0.conv1.weight`.
Whatever stands before the scheme's names is its prefix. The classifier may stand elsewhere, under another name.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from castream_jax.errors import InputError
from castream_jax.weights.names import list_schemes
from castream_jax.weights.scheme import Scheme
from castream_jax.weights.wrappers import list_names

LOG = logging.getLogger(__name__)
Path = tuple[Any, ...]
Shape = tuple[int, ...]
LINEAR = ("classifier", "linear")
CLASSIFIERS = {"fc", "head", "classifier", "linear", "last_linear"}
"""What classifiers are called, or what they stand in."""
DEEPEST = 8
"""How many names a prefix may have."""


@dataclass(frozen=True)
class Match:
    """Where a network stands in a state dict."""

    scheme: Scheme
    keys: dict[Path, str]
    """The name in the state dict of each of our arrays, by path; of a missing one, where it should be."""
    prefix: str


def match(given: Mapping[str, Shape], architecture: str, ours: Mapping[Path, Shape]) -> Match:
    """Return where the arrays of a network stand in a state dict.

    Args:
      given: the state dict's names and shapes.
      architecture: the `create_model` name.
      ours: the network's paths, and their shapes in our layout.

    Raises:
      InputError: no scheme names any array; the network is there more than once.
    """
    found = recognise(given, architecture, ours)
    weight, bias = (
        next(path for path in ours if path[:2] == LINEAR and path[2] == leaf) for leaf in ("kernel", "bias")
    )
    if found.keys[weight] in given or found.keys[bias] in given or found.scheme.name == "castream_jax":
        return found
    width, count = ours[weight]
    used = set(found.keys.values())
    module = find_classifier({key: shape for key, shape in given.items() if key not in used}, width, count)
    if module is None:
        return found
    LOG.info("taking %r for the classifier of %s", module, architecture)
    return Match(found.scheme, found.keys | {weight: f"{module}.weight", bias: f"{module}.bias"}, found.prefix)


def recognise(given: Iterable[str], architecture: str, paths: Iterable[Path]) -> Match:
    """Return the scheme of the architecture's family, and the prefix, under which most of its arrays stand.

    Raises:
      InputError: no scheme names any array; the network is there more than once.
    """
    present, paths = set(given), list(paths)
    schemes = [scheme for scheme in list_schemes(architecture) if scheme.has_names(paths)]
    # A trunk that was saved alone lacks its scheme's root.
    namings = [(scheme, name_all(scheme, paths, root)) for scheme in schemes for root in {"": 0, scheme.root: 0}]
    counted = [
        (count, prefix, scheme, names)
        for scheme, names in namings
        for prefix, count in count_prefixes(present, set(names.values())).items()
    ]
    if not counted:
        raise InputError(
            f"these weights do not fit {architecture}: none of their {len(present)} keys is known "
            f"(first {list_names(sorted(present)[:3])}). Expected {schemes[0].family} weights in the names of "
            f"{', '.join(scheme.name for scheme in schemes)}, as {schemes[0].key(paths[0])}."
        )
    _, prefix, scheme, names = max(counted, key=lambda found: (found[0], -len(found[1])))
    trunk = [name for path, name in names.items() if path[0] == "backbone"]
    prefixes = (other for _, other, _, others in counted if others is names)
    whole = [other for other in prefixes if all(other + name in present for name in trunk)]
    if len(whole) > 1:
        raise InputError(
            f"these weights hold {architecture} {len(whole)} times, under {list_names(map(repr, sorted(whole)))}: save "
            "the one to load alone."
        )
    return Match(scheme, {path: prefix + name for path, name in names.items()}, prefix)


def name_all(scheme: Scheme, paths: Iterable[Path], root: str) -> dict[Path, str]:
    """Return the name of every array that a scheme has a name for, without `root`."""
    return {path: key.removeprefix(root) for path in paths if (key := scheme.key(path)) is not None}


def count_prefixes(keys: Iterable[str], names: set[str]) -> Counter[str]:
    """Return how many of `names` stand under each prefix, the empty one included."""
    return Counter(prefix for key in keys for prefix, name in split(key) if name in names)


def split(key: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to take a key for a prefix and a name."""
    prefix, rest = "", key
    for _ in range(DEEPEST + 1):
        yield prefix, rest
        first, dot, rest = rest.partition(".")
        if not dot:
            return
        prefix += first + dot


def find_classifier(given: Mapping[str, Shape], width: int, count: int) -> str | None:
    """Return the module among unused keys that can only be the classifier, from its name and shapes; else None.

    One of another number of classes is found too, where there is no other: its shape is judged later.
    """
    modules = [
        key.removesuffix(".weight")
        for key, shape in given.items()
        if key.endswith(".weight") and len(shape) == 2 and shape[1] == width
    ]
    named = [module for module in modules if CLASSIFIERS & set(module.split("."))]
    fitting = [module for module in named if given.get(f"{module}.bias") == given[f"{module}.weight"][:1]]
    fitting = [module for module in fitting if given[f"{module}.weight"][0] == count] or fitting
    return fitting[0] if len(fitting) == 1 else None


def find_outside(given: Iterable[str], found: Match, replace_classifier: bool) -> set[str]:
    """Return the keys that are no part of the network: beside it, in a module that holds it whole.

    Nothing is where trunk and classifier stand apart: what stands between them may be part of the network.
    """
    head = [key for path, key in found.keys.items() if path[:2] == LINEAR]
    present = set(given)
    if not replace_classifier and not all(key in present and key.startswith(found.prefix) for key in head):
        return set()
    parts = {key.removeprefix(found.prefix) for key in found.keys.values()}

    def is_part(key: str) -> bool:
        named = not replace_classifier and not CLASSIFIERS.isdisjoint(key.split("."))
        return named or any(name in parts for _, name in split(key))

    return {key for key in present if not key.startswith(found.prefix) and not is_part(key)}
