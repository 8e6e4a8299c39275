"""ImageNet's classes in words."""

from castream_jax.data.readable_names import read_imagenet_names, word_classes
from castream_jax.weights.known import read_imagenet_classes


def test_every_class_of_imagenet_has_words_of_its_own():
    words = read_imagenet_names()
    assert tuple(words) == read_imagenet_classes()
    assert len(set(words.values())) == 1000
    assert all(word.strip() == word != "" for word in words.values())
    assert not set(words) & set(words.values())


def test_words_of_some_classes():
    assert word_classes(("n01440764", "n02123045", "n03710721")) == ("tench", "tabby", "tank suit")
    assert word_classes(("n02012849", "n03126707")) == ("crane (bird)", "crane (machine)")


def test_other_names_stay():
    assert word_classes(("n01440764", "cat")) == ("n01440764", "cat")
    assert word_classes(()) == ()
