"""The maps of one picture are those of the evaluation, for every class and both poolings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax.binding.choices import choose_methods
from castream_jax.binding.program import Plan, Views
from castream_jax.binding.program import run as run_program
from castream_jax.errors import InputError
from castream_jax.explanation.explainer import LARGE, Explained, Explainer, rank, takes_long
from castream_jax.explanation.view import View
from tests.networks import mild_resnet

pytestmark = pytest.mark.slow

METHODS = ("grad_cam", "score_cam", "attention")
PIXELS = np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def run(pooling="ca", methods=METHODS, classes=None, chunk=24, tells=None) -> tuple[Explained, list[float]]:
    shares: list[float] = []
    explainer = Explainer(mild_resnet(pooling), methods, chunk=chunk, tells=tells)
    return explainer.explain(View("a", PIXELS, 0.75), classes, shares.append), shares


@functools.cache
def expected(label: int) -> dict:
    """Return what the evaluation computes for one class, Score-CAM's channels all at once."""
    graphdef, state = nnx.split(mild_resnet())

    @jax.jit
    def explain_all(state):
        model = nnx.merge(graphdef, state)
        images = model.normalisation(PIXELS[None])
        features, networks = model.features(images), model.poolings()
        views = Views(images, jnp.full((1, 1), label))
        maps = run_program(networks, views, Plan("stage4", 50, choose_methods(METHODS))).computed.maps
        probabilities = {name: jax.nn.softmax(network.head(features)[0])[0] for name, network in networks.items()}
        return {key: found[:, 0] for key, found in maps.items()}, probabilities

    return explain_all(state)


def test_maps_are_those_of_the_evaluation():
    found, shares = run(classes=[3, 1])
    assert found.classes == (3, 1)
    assert found.drawn == 2
    assert shares == [1]
    pairs = [(method, pooling) for method in METHODS for pooling in ("gap", "ca")]
    assert list(found.maps) == [pair for pair in pairs if pair != ("attention", "gap")]
    for k, label in enumerate(found.classes):
        maps, probabilities = expected(label)
        for key, values in found.maps.items():
            np.testing.assert_allclose(values[k], maps[key][0], atol=1e-4, err_msg=str(key))
        for pooling, values in probabilities.items():
            np.testing.assert_allclose(found.probabilities[pooling], values, atol=1e-6)
    assert len(found.blocks) == 5
    np.testing.assert_allclose(found.blocks[-1], found.maps["attention", "ca"][0], atol=1e-6)


def test_progress_within_a_picture_is_told_where_it_is_asked_for_or_takes_long():
    told, shares = run(classes=[3, 1], tells=True)
    assert sum(shares) == pytest.approx(1)
    assert len(shares) == 6  # 128 channels, 24 at a time
    for key, values in run(classes=[3, 1])[0].maps.items():
        np.testing.assert_allclose(values, told.maps[key], atol=1e-5, err_msg=str(key))
    array = jax.ShapeDtypeStruct((LARGE // 2,), jnp.float32)
    assert not takes_long(nnx.State({"weight": array, "bias": array}))
    assert takes_long(nnx.State({"weight": array, "bias": array, "more": array}))


def test_without_classes_the_predicted_ones_come_first():
    found, shares = run(methods=("grad_cam",))
    assert shares == [1]
    predicted = set(found.predicted.values())
    assert list(found.probabilities) == ["gap", "ca"]
    assert set(found.classes[: found.drawn]) == predicted
    assert found.drawn == len(predicted)
    assert len(set(found.classes)) == 3


def test_classes_by_their_best_rank():
    gap, ca = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.15, 0.15, 0.6])
    assert rank({"gap": gap, "ca": ca}) == (3, 0, 1, 2)
    assert rank({"gap": gap}) == (0, 1, 2, 3)
    nan = np.full(4, np.nan)
    assert rank({"gap": ca, "ca": nan}) == rank({"gap": ca})  # which ranks none
    assert rank({"gap": nan}) == (0, 1, 2, 3)


def test_a_pooling_that_is_not_a_number_has_no_answer():
    model = mild_resnet()
    model.stream.query[...] = model.stream.query[...] * jnp.nan
    found = Explainer(model, METHODS, chunk=24).explain(View("a", PIXELS, 0.75), None)
    assert found.predicted == {"gap": int(found.probabilities["gap"].argmax()), "ca": -1}
    assert found.drawn == 1
    assert found.classes[0] == found.predicted["gap"]
    for key in found.maps:
        assert set(found.nan[key]) == {key[1] == "ca"}
        assert {found.remark(key, k) for k in range(3)} <= ({"not a number"} if key[1] == "ca" else {"", "flat"})


def test_a_network_without_a_stream():
    found, _ = run("gap", methods=("attention", "grad_cam"), classes=[0])
    assert list(found.maps) == [("grad_cam", "gap")]
    assert found.blocks == ()
    with pytest.raises(InputError, match="needs a stream"):
        run("gap", methods=("attention",))


def test_mistakes_are_named():
    with pytest.raises(InputError, match="Did you mean 'grad_cam'"):
        Explainer(mild_resnet(), ["grad_cm"])
    with pytest.raises(InputError, match="chunk is -1"):
        Explainer(mild_resnet(), ["grad_cam"], chunk=-1)
