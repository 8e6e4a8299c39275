"""ImageNet's 1,000 classes: their identifiers in WordNet, n02123045, and in words, "tabby, tabby cat".

The words are WordNet's, but for its two cranes, which have a word more to tell them apart.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

IMAGENET = "imagenet"
"""In place of a list of classes: these."""


@functools.cache
def imagenet_words() -> dict[str, str]:
    """Return the words of each class by its identifier, in the order of the labels."""
    lines = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


@functools.cache
def _identifiers() -> dict[str, str]:
    return {words: identifier for identifier, words in imagenet_words().items()}


def imagenet_classes() -> tuple[str, ...]:
    """Return the identifiers, by label."""
    return tuple(imagenet_words())


def put_in_words(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes in words, if all of them are identifiers of ImageNet's; else as they are."""
    words = imagenet_words()
    return tuple(words[name] for name in names) if all(name in words for name in names) else tuple(names)


def identify(names: Sequence[str]) -> tuple[str, ...]:
    """Return names with an identifier for each one that is an ImageNet class in words: what `put_in_words` undoes."""
    identifiers = _identifiers()
    return tuple(identifiers.get(name, name) for name in names)


def list_synonyms(name: str) -> tuple[str, ...]:
    """Return what else a class may be called: of an ImageNet class in words each of them, and its identifier."""
    identifier = _identifiers().get(name)
    return (*name.partition(" (")[0].split(", "), identifier) if identifier else ()
