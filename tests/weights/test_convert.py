"""Weights from torch: exact, strict, and with every problem in one message."""

import hashlib
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, create_model, load_torch_weights
from castream_jax.weights.convert import export_weights, to_ours
from castream_jax.weights.likeness import find_likeness
from castream_jax.weights.names import SCHEMES, find_scheme
from tests import goldens
from tests.networks import BUILDS, small_convnext, small_resnet

pytestmark = pytest.mark.slow


def assert_same_weights(model, other) -> None:
    chex.assert_trees_all_equal(nnx.state(model), nnx.state(other))


@pytest.mark.parametrize("digest", json.loads((goldens.DIRECTORY / "weights_sha256.json").read_text()).items())
def test_the_recipe_gives_the_reference_s_weights(digest):
    (name, _, classes), expected = digest[0].split(), digest[1]
    pooling = "ca" if name.endswith("_stream") else "gap"
    weights = goldens.state_dict(name.removesuffix("_stream"), pooling, int(classes.removeprefix("classes=")))
    found = hashlib.sha256(b"".join(key.encode() + weights[key].tobytes() for key in sorted(weights)))
    assert found.hexdigest() == expected


def test_convolutions_and_matrices_change_layout():
    scheme = find_scheme("torchvision", "resnet18")
    kernel = np.arange(2 * 3 * 4 * 5).reshape(5, 4, 2, 3)  # OIHW
    ours = to_ours(kernel, scheme, (2, 3, 4, 5))
    assert ours[1, 2, 3, 4] == kernel[4, 3, 1, 2]
    matrix = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(to_ours(matrix, scheme, (3, 2)), matrix.T)
    assert ours.dtype == jnp.float32


@pytest.mark.parametrize("build", [small_resnet, small_convnext])
@pytest.mark.parametrize("pooling", ["gap", "ca"])
def test_there_and_back_again(build, pooling):
    source, empty = build(pooling), jax.tree.map(jnp.zeros_like, build(pooling))
    loaded = load_torch_weights(empty, export_weights(source))
    assert_same_weights(loaded, source)
    assert not any(leaf.any() for leaf in jax.tree.leaves(nnx.state(empty)))  # the model given is not changed
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(loaded)))


@pytest.mark.parametrize(("name", "pooling"), [("resnet18", "gap"), ("resnet18", "ca"), ("convnext_tiny", "ca")])
def test_exported_weights_are_the_recipe_s(name, pooling):
    """To the bit, in torch's names and layout."""
    exported = export_weights(goldens.network(name, pooling))
    expected = {key: array for key, array in goldens.state_dict(name, pooling).items() if array.dtype == np.float32}
    assert exported.keys() == expected.keys()
    assert all(np.array_equal(exported[key], expected[key]) for key in expected)
    assert all(array.flags.c_contiguous and array.dtype == np.float32 for array in exported.values())


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.name}-{scheme.architecture or scheme.family}")
def test_every_scheme_there_and_back_again(scheme):
    build = BUILDS[scheme.family]
    if scheme.architecture not in ("", build().name):
        return  # of other blocks: `test_schemes.py` has them
    source = build("ca" if scheme.has_stream else "gap")
    empty = jax.tree.map(jnp.zeros_like, source)
    assert_same_weights(load_torch_weights(empty, export_weights(source, scheme.name)), source)
    if not scheme.has_stream:
        with pytest.raises(InputError, match=f"{scheme.name}'s naming has no stream"):
            export_weights(build("ca"), scheme.name)


def test_a_classifier_for_other_classes_is_kept():
    source, model = small_resnet(num_classes=7), small_resnet(num_classes=5)
    nnx.update(source, jax.tree.map(lambda leaf: leaf + 1, nnx.state(source)))
    loaded = load_torch_weights(model, export_weights(source), replace_classifier=True)
    assert_same_weights(loaded.classifier, model.classifier)
    assert_same_weights(loaded.backbone, source.backbone)


def test_half_precision_becomes_float32():
    weights = {key: array.astype(np.float16) for key, array in export_weights(small_resnet()).items()}
    loaded = load_torch_weights(small_resnet(), weights)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(nnx.state(loaded))} == {"float32"}
    np.testing.assert_array_equal(loaded.stream.query[...], weights["cls_token"].reshape(-1).astype(np.float32))


def test_prefixes_and_batch_counters_are_dropped():
    source = small_resnet()
    weights = {f"module.{key}": array for key, array in export_weights(source).items()}
    weights["module.bn1.num_batches_tracked"] = np.array(7)
    assert_same_weights(load_torch_weights(small_resnet(), weights), source)


def test_gap_weights_leave_the_stream_of_a_ca_network():
    gap, ca = small_resnet("gap"), small_resnet("ca")
    nnx.update(gap.backbone, jax.tree.map(lambda leaf: leaf + 1, nnx.state(gap.backbone)))
    loaded = load_torch_weights(ca, export_weights(gap))
    assert_same_weights(loaded.stream, ca.stream)
    assert_same_weights(loaded.backbone, gap.backbone)
    assert not np.array_equal(loaded.backbone.stem.kernel[...], ca.backbone.stem.kernel[...])


def test_every_problem_is_in_one_message():
    weights = export_weights(small_resnet())
    del weights["layer1.0.conv1.weight"], weights["fc.bias"]
    weights["layer9.conv1.weight"] = np.zeros((2, 2))
    weights["cls_token"] = np.zeros((1, 1, 17))
    weights["conv1.weight"] = weights["conv1.weight"].transpose(2, 3, 1, 0)  # right size, wrong layout
    with pytest.raises(InputError) as caught:
        load_torch_weights(small_resnet(), weights)
    message, *problems = str(caught.value).splitlines()
    assert message == "these weights do not fit resnet18_small with pooling 'ca' and 5 classes (5 problems):"
    assert sorted(problems) == [
        "  missing: fc.bias (5,)",
        "  missing: layer1.0.conv1.weight (16, 16, 3, 3)",
        "  unused: layer9.conv1.weight (2, 2)",
        "  wrong shape: cls_token is (1, 1, 17), expected (1, 1, 16)",
        "  wrong shape: conv1.weight is (5, 5, 3, 16), expected (16, 3, 5, 5)",
    ]


def test_half_a_stream_is_an_error():
    weights = export_weights(small_resnet())
    del weights["cls_token"]
    with pytest.raises(InputError, match=r"1 problems.*\n  missing: cls_token \(1, 1, 16\)"):
        load_torch_weights(small_resnet(), weights)


def test_a_gap_network_has_no_use_for_a_stream():
    with pytest.raises(InputError, match=r"unused: cls_token \(1, 1, 16\)"):
        load_torch_weights(small_resnet("gap"), export_weights(small_resnet("ca")))


def test_another_architecture_s_weights_do_not_fit():
    with pytest.raises(InputError, match="do not fit resnet18_small"):
        load_torch_weights(small_resnet("gap"), export_weights(small_convnext("gap")))


def test_another_number_of_classes_does_not_fit():
    other = nnx.eval_shape(lambda: create_model("resnet18_small", "ca", 6))
    with pytest.raises(InputError, match=r"fc.weight is \(5, 128\), expected \(6, 128\)"):
        load_torch_weights(other, export_weights(small_resnet()))


@pytest.mark.parametrize(
    ("weights", "scheme", "model", "said"),
    [
        (
            "resnet18",
            "torchvision",
            "resnet18_small",
            "like the weights of resnet18 (in the names of torchvision)",
        ),
        ("resnet18", "transformers", "efficientnet_lite0", "(in the names of transformers), and the model is eff"),
        ("efficientnet_lite0", None, "resnet18", "of efficientnet_lite0 (in the names of efficientnet_pytorch)"),
    ],
)
def test_weights_of_another_network_are_told_before_their_keys(weights, scheme, model, said):
    arrays = export_weights(create_model(weights, "gap", num_classes=7), scheme)
    with pytest.raises(InputError) as raised:
        load_torch_weights(create_model(model, "gap", num_classes=5), arrays)
    first = str(raised.value).splitlines()[0]
    assert said in first
    assert f"take --config.model.name={weights}" in first


def test_weights_of_a_deeper_network_are_not_taken_for_a_shallower_one():
    """All arrays of a ResNet-18's first blocks are in a ResNet-34."""
    shapes = {key: array.shape for key, array in export_weights(create_model("resnet34", "gap")).items()}
    assert find_likeness(shapes) == ("resnet34", "torchvision")
    assert find_likeness({f"encoder.{key}": shape for key, shape in shapes.items()}) == ("resnet34", "torchvision")
    assert find_likeness({"a.weight": (3, 3)}) is None
