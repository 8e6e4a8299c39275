"""Parts of a network whose weights are drawn again: each array belongs to one, and those below stay as they are."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import castream_jax as ca
from castream_jax.errors import InputError
from castream_jax.models.cascade import Cascade, draw_again
from tests.networks import fill, small_convnext, small_resnet

PARTS = {
    "resnet18_small": "stage4 stage3 stage2 stage1 stem",
    "convnext_tiny": "stage4 stage3 stage2 stage1 stem",
    "efficientnet_lite0": "head stage7 stage6 stage5 stage4 stage3 stage2 stage1 stem",
}
"""Of the trunk, from the classifier down."""


def test_the_first_parts_are_fresh_and_the_others_its_own():
    model = small_resnet()
    graphdef, state = nnx.split(model)
    fresh = draw_again(model)
    cascade = Cascade(graphdef, state, fresh)
    drawn, own = (dict(nnx.to_flat_state(values)) for values in (fresh, state))
    assert set(drawn) == set(own)
    beginnings = [("classifier",), ("stream", "projections", 4), ("stream", "projections", 3)]  # the first three
    for count in (0, 1, 3, 11):
        mixed = nnx.state(cascade.networks(jnp.asarray(count))["ca"])
        for path, variable in nnx.to_flat_state(mixed):
            is_fresh = count == 11 or any(path[: len(begin)] == begin for begin in beginnings[:count])
            np.testing.assert_array_equal(variable[...], (drawn if is_fresh else own)[path][...], err_msg=str(path))
    assert not np.array_equal(drawn["stream", "query"][...], own["stream", "query"][...])


@pytest.mark.parametrize("name", PARTS)
def test_parts_go_from_the_classifier_down_and_hold_every_array(name):
    model = nnx.eval_shape(lambda: ca.create_model(name, "ca", 5))
    cascade = Cascade(*nnx.split(model), nnx.state(model))
    blocks = [f"block{i}" for i in range(len(model.backbone.taps), 0, -1)]
    assert list(cascade.parts) == ["classifier", *blocks, *PARTS[name].split()]
    begins = [f"{begin}." for own in cascade.parts.values() for begin in own]
    for path, _ in nnx.to_flat_state(nnx.state(model)):
        assert sum(f"{'.'.join(map(str, path))}.".startswith(begin) for begin in begins) == 1, path


def test_fresh_weights_are_those_of_an_untrained_network():
    fresh = dict(nnx.to_flat_state(draw_again(small_resnet())))
    stem = fresh["backbone", "stem", "kernel"][...]
    np.testing.assert_allclose(stem.std(), np.sqrt(2 / (stem.shape[-1] * np.prod(stem.shape[:2]))), rtol=0.1)
    assert (fresh["backbone", "stem", "mean"][...] == 0).all()
    assert (fresh["backbone", "stem", "var"][...] == 1).all()


def test_a_network_of_one_s_own_is_refused():
    model = small_resnet()
    model.name = "my_network"
    with pytest.raises(InputError, match=r"my_network drawn again, .*leave out of evaluation\.metrics"):
        draw_again(fill(model))
    with pytest.raises(InputError, match="convnext_tiny drawn again, and this network has other parts"):
        draw_again(small_convnext())
