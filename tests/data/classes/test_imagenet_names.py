"""ImageNet's classes in words."""

import importlib.resources
import logging

import pytest

from castream_jax.data.classes.class_names import check_class_names
from castream_jax.data.classes.imagenet_names import (
    identify,
    imagenet_classes,
    imagenet_words,
    list_synonyms,
    put_in_words,
)
from castream_jax.errors import InputError
from castream_jax.explanation.classes import parse_classes
from castream_jax.weights.known import read_imagenet_classes

IDS = imagenet_classes()
WORDS = put_in_words(IDS)


def test_the_classes_are_those_of_weights_and_of_tfds():
    assert read_imagenet_classes() == IDS
    file = importlib.resources.files("tensorflow_datasets") / "datasets/imagenet2012/labels.txt"
    assert tuple(file.read_text().split()) == IDS
    assert len(set(WORDS)) == 1000


def test_words_and_back():
    assert imagenet_words()["n02123045"] == "tabby, tabby cat"
    assert identify(WORDS) == IDS
    assert put_in_words(IDS[:10]) == WORDS[:10]
    assert put_in_words([IDS[0], "cat"]) == (IDS[0], "cat")
    assert list_synonyms("tabby, tabby cat") == ("tabby", "tabby cat", "n02123045")
    assert list_synonyms("cat") == ()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("tabby", (281,)),
        ("tabby, tabby cat", (281,)),
        ("tabby cat,tiger cat,283", (281, 282, 283)),
        ("n02123045", (281,)),
        ("Egyptian cat, tabby, tabby cat", (285, 281)),
        ("crane (bird)", (134,)),
        ("n03126707", (517,)),
    ],
)
def test_classes_are_asked_for_by_any_of_their_names(text, labels):
    assert parse_classes(text, WORDS) == labels


def test_a_name_of_two_is_refused():
    with pytest.raises(InputError, match=r"one of the labels 134, 517 .* \(crane \(bird\), crane \(mach"):
        parse_classes("crane", WORDS)


def test_runs_with_identifiers_go_on(caplog):
    """A network that knows its classes by identifiers, and a dataset in words, or the other way round."""
    caplog.set_level(logging.WARNING, "castream_jax")
    check_class_names(IDS, WORDS, "the network")
    check_class_names(WORDS, IDS, "the network")
    assert not caplog.messages
    with pytest.raises(InputError, match="in another order"):
        check_class_names(IDS, (WORDS[1], WORDS[0], *WORDS[2:]), "the network")
