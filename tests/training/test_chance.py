"""An accuracy that is hardly above guessing is told from a weak one, and from too few images to tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castream_jax.experiment.split_accuracy import describe_chance, is_near_chance


@pytest.mark.parametrize(
    ("right", "images", "num_classes"),
    [
        (16, 150, 10),  # folders 1 to 10, sorted as text: one of them in its place
        (285, 1500, 10),  # two in their places
        (0, 64, 10),
        (50, 50_000, 1000),
        (90, 50_000, 1000),
        (50, 100, 2),
        (5, 100, 2),  # two classes swapped
    ],
)
def test_near_chance(right, images, num_classes):
    assert is_near_chance(right / images, images, num_classes)


@pytest.mark.parametrize(
    ("right", "images", "num_classes"),
    [
        (50, 150, 10),
        (2_000, 50_000, 1000),  # 4 %: weak, but no guess
        (65, 100, 2),
        (2, 3, 2),  # too few to tell
        (1, 8, 10),
        (0, 0, 10),
        (3, 7, 1),
    ],
)
def test_clearly_above_chance_or_too_few_to_tell(right, images, num_classes):
    assert not is_near_chance(right / max(images, 1), images, num_classes)


@given(st.integers(1, 5_000), st.integers(2, 1_000), st.data())
def test_a_good_network_is_never_doubted(images, num_classes, data):
    right = data.draw(st.integers(-(-images * 3 // 4), images))
    assert not is_near_chance(right / images, images, num_classes)


def test_what_is_said():
    assert describe_chance(0.95, 150, 10) == ""
    said = describe_chance(0.11, 150, 10)
    assert said.startswith("The accuracy of GAP is 11 %, and guessing one of 10 classes is right in 10 %")
    for setting in ("data.classes", "data.mean", "data.orientation"):
        assert setting in said
