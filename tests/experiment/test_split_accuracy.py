"""The accuracy of each pooling on a split, and the doubts about the first."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from castream_jax.compute.sharding import create_local_mesh
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import Source
from castream_jax.errors import InputError
from castream_jax.experiment.average_precision import mean_average_precision
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


class Ranking(nnx.Module):
    """A network whose logits are what it is told, for each image by its first pixel."""

    def __init__(self, logits):
        self.logits = nnx.Variable(jnp.asarray(logits))

    def normalisation(self, pixels):
        return jnp.asarray(pixels, jnp.float32)

    def features(self, images):
        return {"layer": images[:, 0, 0, 0]}

    def poolings(self):
        return {"gap": self, "ca": self}

    score = "sigmoid"

    def head(self, features):
        return self.logits[...][jnp.round(features["layer"] / 8).astype(jnp.int32)], None


def ranked(num_classes, several, count=20):
    """Return a source, the network's logits, and the labels of its pictures, which are of one grey each."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((count, num_classes)).astype(np.float32)
    logits[3] = np.nan
    labels = (rng.random((count, num_classes)) < 0.4) if several else rng.integers(0, num_classes, count)
    records = []
    for i in range(count):
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), 8 * i, np.uint8)).save(buffer, "PNG")
        said = {"labels": np.flatnonzero(labels[i]).tolist()} if several else {"label": int(labels[i])}
        records.append({"image": buffer.getvalue(), "id": str(i)} | said)
    names = tuple(f"class {k}" for k in range(num_classes))
    source = Source("ranked", "test", records, names, has_several_labels=several)
    graphdef, state = nnx.split(Ranking(logits))
    return SplitAccuracy(source, Resize(8, "squash"), 16, graphdef, create_local_mesh()), state, logits, labels


def test_right_among_five():
    accuracy, state, logits, labels = ranked(9, several=False)
    found = accuracy.measure(state)
    order = np.argsort(-logits, axis=1)
    order[3] = -1
    assert found["gap"] == np.mean(order[:, 0] == labels)
    assert accuracy.top5 == dict.fromkeys(("gap", "ca"), np.mean((order[:, :5] == labels[:, None]).any(1)))
    assert accuracy.measures == "accuracy"


def test_of_five_classes_all_are_among_five():
    accuracy, state, _, _ = ranked(5, several=False)
    assert list(accuracy.measure(state)) == ["gap", "ca"]
    assert accuracy.top5 == {}


def test_the_mean_average_precision_of_a_split():
    accuracy, state, logits, labels = ranked(9, several=True)
    found = accuracy.measure(state)
    assert accuracy.measures == "mean_average_precision"
    assert found == dict.fromkeys(("gap", "ca"), mean_average_precision(logits, labels.astype(np.uint8)))
    parts = [accuracy.collect(state, range(first, min(first + 8, 20))) for first in range(0, 20, 8)]
    np.testing.assert_array_equal(np.concatenate([part.scores["ca"] for part in parts]), logits)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), labels)


def test_a_split_without_labels_has_none():
    accuracy, state, _, _ = ranked(4, several=True)
    for record in accuracy._source.records:
        record["labels"] = ()
    with pytest.raises(InputError, match="no picture of ranked, split test, shows a class"):
        accuracy.measure(state)
