"""Weights of networks with several poolings: read and written in our naming, and filled from those of fewer."""

import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, export_weights, load_torch_weights
from castream_jax.errors import NotTrained
from castream_jax.storage.array_trees import digest
from tests.networks import small_resnet

pytestmark = [pytest.mark.usefixtures("shallow"), pytest.mark.slow]

POOLINGS = ("ca", "simpool", "ep(queries=8)", "gem(p=4)", "max")


def other(poolings):
    """Return the same network with other arrays."""
    model = small_resnet(poolings)
    state = nnx.state(model)
    for _, variable in nnx.to_flat_state(state):
        variable[...] = variable[...] + 1
    nnx.update(model, state)
    return model


def test_our_naming_holds_all_of_them():
    model = small_resnet(POOLINGS)
    weights = export_weights(model, "castream_jax")
    assert {"stream.query", "simpool.key", "ep_queries_8.value", "gem_p_4.exponent"} <= weights.keys()
    loaded = load_torch_weights(other(POOLINGS), weights)
    assert digest(nnx.state(loaded)) == digest(nnx.state(model))
    assert not loaded.notes


def test_other_namings_have_none_but_the_stream():
    with pytest.raises(InputError, match="torchvision's naming has no ep_queries_8"):
        export_weights(small_resnet(POOLINGS), "torchvision")
    assert "cls_token" in export_weights(small_resnet("ca"), "torchvision")


def test_poolings_that_the_weights_are_without_stay_fresh(caplog):
    weights = export_weights(small_resnet("ca"), "torchvision")
    fresh = other(POOLINGS)
    loaded = load_torch_weights(fresh, weights)
    np.testing.assert_array_equal(loaded.stream.query[...], small_resnet("ca").stream.query[...])
    np.testing.assert_array_equal(loaded.simpool.key[...], fresh.simpool.key[...])
    assert "without ep_queries_8, gem_p_4, simpool of resnet18_small: these keep their fresh" in loaded.notes[0]
    with pytest.raises(NotTrained, match="simpool of resnet18_small: these are not trained"):
        load_torch_weights(fresh, weights, fresh_stream="refused")


def test_poolings_that_are_not_trained_are_missed_by_nobody(caplog):
    weights = export_weights(small_resnet("ca"), "castream_jax")
    model = small_resnet("ca, ca(trained=false), ep(queries=8, trained=false)")
    loaded = load_torch_weights(model, weights, fresh_stream="refused")
    assert not loaded.notes
    assert digest(nnx.state(loaded.ca_trained_false)) == digest(nnx.state(model.ca_trained_false))
    again = export_weights(loaded, "castream_jax")
    assert digest(nnx.state(load_torch_weights(model, again))) == digest(nnx.state(loaded))
