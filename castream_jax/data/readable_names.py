"""The words for ImageNet's classes, which datasets and weights name by their numbers in WordNet: n01440764 is tench."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType


@functools.cache
def read_imagenet_names() -> Mapping[str, str]:
    """Return the first word that WordNet 3.0 has for each of ImageNet's 1,000 classes, by their numbers; no two alike.

    Where it has one word for two classes, what tells them apart is added.
    """
    lines = Path(__file__).with_name("imagenet_names.txt").read_text(encoding="utf-8").splitlines()
    return MappingProxyType(dict(line.split(" ", 1) for line in lines))


def word_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes in words if all are WordNet's numbers of ImageNet's, or else as they are."""
    words = read_imagenet_names()
    return tuple(words[name] for name in names) if all(name in words for name in names) else tuple(names)
