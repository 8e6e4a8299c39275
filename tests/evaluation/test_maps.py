"""Maps of networks that share a trunk: the same as of each alone, from one set of forward passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.attribution.attention import attention_map, attention_score_map
from castream_jax.attribution.gradient import grad_cam, gradient
from castream_jax.evaluation.maps import (
    METHODS,
    check_method,
    compute_maps,
    explained_keys,
    has_map,
    head_from,
    joint_labels,
    joint_probabilities,
)
from tests.goldens import assert_close
from tests.networks import IMAGES, forward, small_convnext, small_resnet

pytestmark = pytest.mark.slow

LABELS = {"gap": jnp.asarray([4, 1]), "ca": jnp.asarray([2, 1])}


def maps_of(model, poolings, methods=METHODS):
    """Return the maps of some poolings of a network, computed together."""
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state):
        network = nnx.merge(graphdef, state)
        networks = {name: part for name, part in network.poolings().items() if name in poolings}
        features = network.features(IMAGES)
        found = compute_maps(networks, IMAGES, features, LABELS, methods, network.target(None), chunk=16).maps
        order.extend(found)
        return {"/".join(key): value for key, value in found.items()}

    order: list[tuple[str, str]] = []
    return run(state), order


def test_joint_networks_equal_separate_runs():
    model = small_resnet()
    both, order = maps_of(model, ("gap", "ca"))
    assert order == [
        *((method, pooling) for method in ("grad_cam", "grad_cam_pp", "score_cam") for pooling in ("gap", "ca")),
        ("attention", "ca"),
        ("attention_scores", "ca"),
    ]
    separate = maps_of(model, ("gap",))[0] | maps_of(model, ("ca",))[0]
    assert both.keys() == separate.keys()
    for key, maps in both.items():
        assert maps.shape == (2, 4, 6)
        assert_close(maps, separate[key], absolute=1e-4)
    for method in ("grad_cam", "grad_cam_pp", "score_cam"):
        assert not np.allclose(both[f"{method}/gap"], both[f"{method}/ca"])


def test_the_order_is_that_of_the_methods_asked_for():
    assert maps_of(small_resnet(), ("ca",), ("attention", "grad_cam"))[1] == [("attention", "ca"), ("grad_cam", "ca")]


def test_attention_maps_are_of_the_last_block():
    model = small_resnet(heads=2)
    found, _ = maps_of(model, ("ca",), ("attention", "attention_scores"))
    _, _, attention = forward(model, IMAGES)
    assert_close(found["attention/ca"], attention_map(attention[-1]), absolute=1e-5)
    assert_close(found["attention_scores/ca"], attention_score_map(attention[-1]), absolute=1e-4)


@pytest.mark.parametrize("target", ["branch", "stage4"])
def test_heads_start_from_any_target(target):
    """The gradient of a logit of ConvNeXt differs between its targets by the layer scale alone."""
    model, labels = small_convnext(), LABELS["ca"]
    features, logits, _ = forward(model, IMAGES)
    head = head_from(model, features, target)
    assert_close(head(features[target]), logits, relative=1e-5)
    g = jax.jit(lambda x: gradient(head, x, labels))(features[target])
    g4 = jax.jit(lambda x: gradient(head_from(model, features, "stage4"), x, labels))(features["stage4"])
    scale = np.asarray(model.backbone.stages[-1][-1].layer_scale[...]) if target == "branch" else 1
    assert_close(g, np.asarray(g4) * scale, relative=1e-5)


def test_the_target_decides_the_map():
    model = small_convnext()
    features, _, _ = forward(model, IMAGES)
    maps = [grad_cam(head_from(model, features, t), features[t], LABELS["ca"]) for t in ("branch", "stage4")]
    assert maps[0].shape == (2, 2, 3)
    assert not np.allclose(*maps)


def test_joint_probabilities_lie_side_by_side():
    model = small_resnet()
    parts = model.poolings()
    features, _, _ = forward(model, IMAGES)
    found = jax.jit(joint_probabilities([parts["ca"], parts["gap"]]))(IMAGES)
    expected = np.concatenate([jax.nn.softmax(parts[name].head(features)[0]) for name in ("ca", "gap")], axis=1)
    assert_close(found, expected, absolute=1e-5)
    labels = jnp.stack([LABELS["ca"], LABELS["gap"]])
    np.testing.assert_array_equal(joint_labels([parts["ca"], parts["gap"]], labels), [[2, 1], [9, 6]])


def test_raw_attention_needs_a_stream():
    gap, ca = small_resnet("gap"), small_resnet("ca")
    for method in METHODS:
        assert has_map(method, ca)
        check_method(method, ca)
        assert has_map(method, gap) == (method not in ("attention", "attention_scores"))
    for method in ("attention", "attention_scores"):
        with pytest.raises(InputError, match=f"method '{method}' needs a stream: this model has pooling=\"gap\""):
            check_method(method, gap)


def test_one_logit_explains_nothing():
    for pooling in ("gap", "ca"):
        with pytest.raises(InputError, match="resnet18_small has one class: the softmax of one logit is 1"):
            explained_keys(small_resnet(pooling, num_classes=1).poolings(), ["grad_cam"])
