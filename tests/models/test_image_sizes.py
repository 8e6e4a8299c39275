"""Pictures of any shape fit into one of five sizes."""

import pytest

from castream_jax import InputError, choose_size


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((500, 500), (224, 224)),
        ((333, 500), (192, 288)),
        ((500, 375), (256, 192)),
        ((480, 640), (192, 256)),
        ((100, 4000), (192, 288)),
        ((1, 1), (224, 224)),
    ],
)
def test_the_shape_changes_least(picture, size):
    assert choose_size(*picture) == size


def test_any_side_and_multiple():
    assert choose_size(300, 400, side=384) == (320, 448)
    assert choose_size(40, 30, side=96, multiple=8) == (112, 80)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [((0, 5), "0x5 pixels"), ((5, 5, 230), "side is 230: expected a multiple of 32"), ((5, 5, 0), "side is 0")],
)
def test_mistakes_are_named(chosen, said):
    with pytest.raises(InputError, match=said):
        choose_size(*chosen)
