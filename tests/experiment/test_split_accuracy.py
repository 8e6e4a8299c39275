"""The accuracy of each pooling on a split, and the doubts about the first."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.compute.sharding import create_local_mesh
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import Source
from castream_jax.experiment.split_accuracy import SplitAccuracy
from tests.data.conftest import encode_picture

RIGHT = 3
"""The label of all pictures."""


class Certain(nnx.Module):
    """A network whose poolings always answer the same class."""

    def __init__(self, answers):
        self.by_pooling = nnx.static(tuple(answers.items()))

    def normalisation(self, pixels):
        return jnp.asarray(pixels, jnp.float32)

    def features(self, images):
        return {"layer": images.mean((1, 2))}

    def poolings(self):
        return {name: Answer(place) for name, place in self.by_pooling}


class Answer:
    def __init__(self, place):
        self.place = place

    def head(self, features):
        logits = jnp.broadcast_to(jnp.arange(10.0) == self.place, (len(features["layer"]), 10))
        return logits.astype(jnp.float32), None


@pytest.mark.parametrize(("gap", "ca"), [(RIGHT, 0), (0, RIGHT)])
def test_the_doubt_is_about_gap_and_not_about_a_stream_that_is_hardly_trained(gap, ca):
    records = [{"image": encode_picture(8), "label": RIGHT, "id": str(i)} for i in range(64)]
    source = Source("same", "test", records, tuple("abcdefghij"))
    graphdef, state = nnx.split(Certain({"gap": gap, "ca": ca}))
    accuracy = SplitAccuracy(source, Resize(8, "squash"), 16, graphdef, create_local_mesh())
    found = accuracy.measure(state)
    assert list(found) == ["gap", "ca"]
    np.testing.assert_array_equal(list(found.values()), [gap == RIGHT, ca == RIGHT])
    said = accuracy.describe_chance(found)
    assert said.startswith("The accuracy of GAP is 0 %") if gap != RIGHT else said == ""
