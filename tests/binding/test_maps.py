"""Maps of networks that share a trunk: the same as of each alone, from one set of forward passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError
from castream_jax.attribution import METHODS
from castream_jax.attribution.grad_cam import GRAD_CAM
from castream_jax.attribution.gradient import gradient
from castream_jax.binding.maps import explained_keys, has_map
from castream_jax.binding.program import Plan, Views, run
from castream_jax.binding.shared_trunk import head_from, joint_columns, joint_scores
from castream_jax.compute.masking import min_max
from tests.asking import explain
from tests.goldens import assert_close
from tests.networks import IMAGES, forward, small_convnext, small_resnet

pytestmark = pytest.mark.slow

LABELS = {"gap": jnp.asarray([4, 1]), "ca": jnp.asarray([2, 1])}


ALL = tuple(
    METHODS[key]
    for key in ("grad_cam", "group_cam", "score_cam", "attention", "attention_scores", "attention_gradient")
)
"""Of each kind some."""
OTHERS = tuple(method for method in METHODS.values() if method not in ALL)


def maps_of(model, poolings, methods=ALL, labels=LABELS):
    """Return the maps of some poolings of a network, computed together."""
    graphdef, state = nnx.split(model)
    plan = Plan(model.target(None), 16, methods)

    @jax.jit
    def compute(state):
        network = nnx.merge(graphdef, state)
        networks = {name: part for name, part in network.poolings().items() if name in poolings}
        stacked = jnp.stack([labels[name] for name in networks])  # [S B]
        maps = {}
        for name, own in zip(networks, stacked):
            found = run(networks, Views(IMAGES, own[:, None]), plan).computed.maps
            order[:] = list(found)
            maps |= {"/".join(key): value[:, 0] for key, value in found.items() if key[1] == name}
        return maps

    order: list[tuple[str, str]] = []
    return compute(state), order


def test_several_classes_of_an_image_share_its_passes():
    model = small_resnet()
    labels = jnp.asarray([[4, 2, 0], [1, 3, 4]])
    plan = Plan(model.target(None), 16, ALL)
    found = jax.jit(lambda: list(run(model.poolings(), Views(IMAGES, labels), plan).computed.maps.values()))()
    keys = explained_keys(model.poolings(), plan.methods)
    for k in range(3):
        alone, _ = maps_of(model, ("gap", "ca"), labels=dict.fromkeys(("gap", "ca"), labels[:, k]))
        for key, maps in zip(keys, found, strict=True):
            assert_close(maps[:, k], alone["/".join(key)], absolute=1e-4)


def test_joint_networks_equal_separate_runs():
    model = small_resnet()
    both, order = maps_of(model, ("gap", "ca"))
    assert order == [
        *((method, pooling) for method in ("grad_cam", "group_cam", "score_cam") for pooling in ("gap", "ca")),
        ("attention", "ca"),
        ("attention_scores", "ca"),
        ("attention_gradient", "ca"),
    ]
    separate = maps_of(model, ("gap",))[0] | maps_of(model, ("ca",))[0]
    assert both.keys() == separate.keys()
    for key, maps in both.items():
        assert maps.shape == (2, 4, 6)
        assert_close(maps, separate[key], absolute=1e-4)
    for method in ("grad_cam", "group_cam", "score_cam"):
        assert not np.allclose(both[f"{method}/gap"], both[f"{method}/ca"])


def test_every_other_method_has_maps_of_each_pooling_and_class_and_is_counted():
    """By shapes alone."""
    model, labels = small_resnet(), jnp.asarray([[4, 2, 0], [1, 3, 4]])
    through: list[int] = []

    def compute(images):
        found = run(model.poolings(), Views(images, labels), Plan("stage4", 16, OTHERS))
        through.append(found.ledger.alone)
        return found.computed.maps

    maps = jax.eval_shape(compute, IMAGES)
    assert set(maps) == set(explained_keys(model.poolings(), OTHERS))
    sizes = {"refine_cam": (16, 24)} | dict.fromkeys(
        ("rise", "gradient_input", "integrated_gradients", "smooth_grad"), IMAGES.shape[1:3]
    )
    for (method, _), found in maps.items():
        assert found.shape == (2, 3, *sizes.get(method, (4, 6)))
        assert found.dtype == jnp.float32
    # Each class and pooling by itself, three forward passes each time.
    assert through == [3 * 3 * 2 * sum(method.through_trunk for method in OTHERS)]
    assert through[0] == 3 * 3 * 2 * (1 + 1 + 50 + 50 + 100)


def test_the_order_is_that_of_the_methods_asked_for():
    assert maps_of(small_resnet(), ("ca",), (METHODS["attention"], METHODS["grad_cam"]))[1] == [
        ("attention", "ca"),
        ("grad_cam", "ca"),
    ]


def no_head(feature_map):
    return feature_map.sum((1, 2))


def test_attention_maps_are_of_the_last_block():
    model = small_resnet(heads=2)
    found, _ = maps_of(model, ("ca",), (METHODS["attention"], METHODS["attention_scores"]))
    _, _, attention = forward(model, IMAGES)
    assert_close(found["attention/ca"], min_max(attention[-1].mean(1)), absolute=1e-5)
    assert_close(
        found["attention_scores/ca"],
        explain(METHODS["attention_scores"], no_head, attention[-1][:, 0, ..., None], attention=attention),
        absolute=1e-4,
    )


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
    maps = [explain(GRAD_CAM, head_from(model, features, t), features[t], LABELS["ca"]) for t in ("branch", "stage4")]
    assert maps[0].shape == (2, 2, 3)
    assert not np.allclose(*maps)


def test_joint_scores_lie_side_by_side():
    model = small_resnet()
    parts = model.poolings()
    features, _, _ = forward(model, IMAGES)
    found = jax.jit(joint_scores([parts["ca"], parts["gap"]]))(IMAGES)
    expected = np.concatenate([jax.nn.softmax(parts[name].head(features)[0]) for name in ("ca", "gap")], axis=1)
    assert_close(found, expected, absolute=1e-5)
    labels = jnp.stack([LABELS["ca"], LABELS["gap"]])[..., None]
    np.testing.assert_array_equal(joint_columns([parts["ca"], parts["gap"]], labels), [[2, 9], [1, 6]])


def test_raw_attention_needs_a_stream():
    gap, ca = small_resnet("gap"), small_resnet("ca")
    for method in METHODS.values():
        assert has_map(method, ca)
        assert has_map(method, gap) == (not method.key.startswith("attention"))
        if not has_map(method, gap):
            with pytest.raises(InputError, match=f"nothing to explain: {method.key} needs a stream"):
                explained_keys(gap.poolings(), [method])


def test_one_logit_explains_nothing():
    for pooling in ("gap", "ca"):
        with pytest.raises(InputError, match="resnet18_small has one class: the softmax of one logit is 1"):
            explained_keys(small_resnet(pooling, num_classes=1).poolings(), [GRAD_CAM])
