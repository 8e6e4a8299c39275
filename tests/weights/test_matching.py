"""A network in a state dict, below any prefix, its classifier under any usual name: the same bits, or an error."""

import functools

import chex
import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from castream_jax import InputError, export_weights, load_torch_weights, load_weights
from castream_jax.weights.matching import split
from castream_jax.weights.names import SCHEMES
from tests.networks import BUILDS, small_resnet
from tests.weights.archives import save

pytestmark = pytest.mark.slow

SMALL = [scheme for scheme in SCHEMES if scheme.architecture in ("", "efficientnet_lite0")]
"""Those of the small networks."""
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "network.", "net.")


@functools.cache
def network(family: str, pooling: str = "gap"):
    return BUILDS[family](pooling)


@functools.cache
def exported(family: str, scheme: str, pooling: str = "gap") -> dict[str, np.ndarray]:
    return export_weights(network(family, pooling), scheme)


def assert_loads(weights, family: str = "resnet", pooling: str = "gap", **options) -> None:
    model = network(family, pooling)
    loaded = load_torch_weights(jax.tree.map(np.zeros_like, model), weights, **options)
    chex.assert_trees_all_equal(nnx.state(loaded), nnx.state(model))


def rename(weights, prefix: str = "", **names: str) -> dict[str, np.ndarray]:
    """Return weights below a prefix, but for modules with a whole new name (`__` for a dot)."""
    new = {}
    for key, array in weights.items():
        module, _, leaf = key.rpartition(".")
        new[f"{names[module]}.{leaf}" if module in names else prefix + key] = array
    return new


@settings(deadline=None, max_examples=30)
@given(
    scheme=st.sampled_from(SMALL),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=5),
    wrappers=st.lists(st.sampled_from(["model", "state_dict", "model_state_dict", "net", "network"]), max_size=3),
    is_legacy=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_nesting_gives_the_same_bits(tmp_path_factory, scheme, prefixes, wrappers, is_legacy, seed):
    pooling = "ca" if scheme.has_stream else "gap"
    content = rename(exported(scheme.family, scheme.name, pooling), "".join(prefixes))
    keys = list(content)
    np.random.default_rng(seed).shuffle(keys)
    content = {key: content[key] for key in keys}
    for wrapper in wrappers:
        content = {"epoch": 3, wrapper: content, "best": 0.5}
    path = save(tmp_path_factory.mktemp("nested") / "weights.pth", content, is_legacy)
    model = network(scheme.family, pooling)
    loaded = load_weights(jax.tree.map(np.zeros_like, model), path)
    chex.assert_trees_all_equal(nnx.state(loaded), nnx.state(model))


@pytest.mark.parametrize("name", ["head", "fc.1", "classifier", "model.head", "linear", "last_linear", "head.fc"])
@pytest.mark.parametrize("prefix", ["", "encoder.", "module.backbone."])
def test_the_classifier_under_another_name(name, prefix, caplog):
    with caplog.at_level("INFO", logger="castream_jax"):
        assert_loads(rename(exported("resnet", "torchvision"), prefix, fc=name))
    assert f"taking {name!r} for the classifier of resnet18_small" in caplog.text


def test_the_classifier_of_convnext_under_another_name():
    weights = {("encoder." + key): array for key, array in exported("convnext", "timm").items()}
    for leaf in ("weight", "bias"):
        weights[f"head.{leaf}"] = weights.pop(f"encoder.head.fc.{leaf}")
    assert_loads(weights, "convnext")


@pytest.mark.parametrize(
    "others",
    [
        {"neck.weight": (128, 128)},  # it may stand between trunk and classifier
        {"head.0.weight": (128,), "head.0.bias": (128,)},
        {"other_head.weight": (7, 128)},
        {"classifier.weight": (5, 128), "classifier.bias": (5,)},  # two that fit
    ],
)
def test_what_may_be_part_of_the_network_is_never_left_out(others):
    weights = rename(exported("resnet", "torchvision"), "encoder.", fc="head.1")
    weights |= {key: np.zeros(shape, np.float32) for key, shape in others.items()}
    with pytest.raises(InputError, match=f"unused: {next(iter(others))}"):
        assert_loads(weights)


@pytest.mark.parametrize("name", ["projection", "embedding.1"])
def test_a_layer_of_the_classifiers_shape_and_another_name(name):
    with pytest.raises(InputError, match=rf"missing: encoder.fc.weight[^$]*unused: {name}.weight"):
        assert_loads(rename(exported("resnet", "torchvision"), "encoder.", fc=name))


def test_another_number_of_classes_is_said():
    weights = rename(exported("resnet", "torchvision"), "encoder.", fc="head")
    with pytest.raises(InputError, match=r"wrong shape: head.weight is \(5, 128\), expected \(6, 128\)"):
        load_torch_weights(small_resnet("gap", num_classes=6), weights)
    loaded = load_torch_weights(small_resnet("gap", num_classes=2), weights, classes=(4, 1))
    bias = np.asarray(network("resnet").classifier.linear.bias[...])
    np.testing.assert_array_equal(loaded.classifier.linear.bias[...], bias[[4, 1]])


def test_beside_the_network_in_a_module_that_holds_it_whole(caplog):
    """Lightning's: a criterion's weights, a metric's counts."""
    weights = rename(exported("resnet", "torchvision"), "model.")
    weights |= {"criterion.weight": np.ones(5, np.float32), "train_acc.total": np.array(0)}
    with caplog.at_level("INFO", logger="castream_jax"):
        assert_loads(weights)
    assert "left out, as it is outside 'model.': criterion.weight, train_acc.total" in caplog.text


@pytest.mark.parametrize("key", ["fc.weight", "model2.classifier.weight", "conv1.weight", "other.layer1.0.bn1.bias"])
def test_another_network_beside_it_is_not_left_out(key):
    weights = rename(exported("resnet", "torchvision"), "model.") | {key: np.zeros((5, 5), np.float32)}
    with pytest.raises(InputError, match=f"unused: {key}"):
        assert_loads(weights)


@pytest.mark.parametrize("prefixes", [("model.", "ema_model."), ("encoder_q.", "encoder_k."), ("", "module.")])
def test_two_networks_are_not_chosen_between(prefixes):
    weights = rename(exported("resnet", "torchvision"), prefixes[0])
    weights |= rename(exported("resnet", "torchvision"), prefixes[1])
    with pytest.raises(InputError, match="hold resnet18_small 2 times"):
        assert_loads(weights)


def test_a_new_classifier_needs_none_in_the_file():
    model = small_resnet("gap", num_classes=3)
    trunk = {key: array for key, array in exported("resnet", "torchvision").items() if not key.startswith("fc.")}
    projector = {"projector.0.weight": np.zeros((9, 128), np.float32)}
    mlp = {
        "encoder.fc.0.weight": np.zeros((128, 128), np.float32),
        "encoder.fc.2.weight": np.zeros((9, 128), np.float32),
    }
    for others in ({}, projector, mlp):
        loaded = load_torch_weights(model, rename(trunk, "encoder.") | others, replace_classifier=True)
        chex.assert_trees_all_equal(nnx.state(loaded.backbone), nnx.state(network("resnet").backbone))
        chex.assert_trees_all_equal(nnx.state(loaded.classifier), nnx.state(model.classifier))


@pytest.mark.parametrize("family", ["resnet", "convnext"])
def test_a_trunk_of_transformers_alone(family):
    """`ResNetModel` and `ConvNextModel` have no `resnet.` and no classifier."""
    weights = {
        key.removeprefix(f"{family}."): array
        for key, array in exported(family, "transformers").items()
        if not key.startswith("classifier")
    }
    loaded = load_torch_weights(jax.tree.map(np.zeros_like, network(family)), weights, replace_classifier=True)
    chex.assert_trees_all_equal(nnx.state(loaded.backbone), nnx.state(network(family).backbone))


def test_modules_compiled_one_by_one():
    weights = {
        key.replace("layer1.", "layer1._orig_mod."): array for key, array in exported("resnet", "torchvision").items()
    }
    assert any("_orig_mod" in key for key in weights)
    assert_loads(weights)


def test_counters_are_dropped():
    counters = {"n_averaged": np.array(3), "module.bn1.num_batches_tracked": np.array(7)}
    assert_loads(rename(exported("resnet", "torchvision"), "module.") | counters)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "complex64", "int64"])
def test_numbers_that_are_no_weights(dtype):
    weights = {
        key: array.astype(dtype) if key == "fc.weight" else array
        for key, array in exported("resnet", "torchvision").items()
    }
    with pytest.raises(InputError, match=f"wrong dtype: fc.weight is {dtype}, expected one of float32"):
        assert_loads(weights)


def test_the_model_is_not_changed_when_arrays_are():
    """What is loaded is a copy."""
    weights = {key: array.copy() for key, array in exported("resnet", "torchvision").items()}
    loaded = load_torch_weights(network("resnet"), weights)
    for array in weights.values():
        array[...] = 7
    chex.assert_trees_all_equal(nnx.state(loaded), nnx.state(network("resnet")))


@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_for_other_images(channels):
    weights = dict(exported("resnet", "torchvision"))
    weights["conv1.weight"] = np.zeros((16, channels, 5, 5), np.float32)
    with pytest.raises(InputError, match=f"of a network for images of {channels} channels instead of 3"):
        assert_loads(weights)


def test_messages_are_bounded():
    weights = exported("resnet", "torchvision") | {f"{i} {'a' * 5000}": np.zeros(1) for i in range(2000)}
    with pytest.raises(InputError, match="2000 problems") as caught:
        load_torch_weights(network("resnet"), weights)
    assert len(str(caught.value)) < 300_000
    assert str(caught.value).endswith("and 1000 more")


def test_a_key_of_a_million_dots_is_split_as_far_as_a_prefix_goes():
    assert len(list(split("a." * 10**6))) == 9
    assert list(split("a.b")) == [("", "a.b"), ("a.", "b")]


# What is to be known of the weights


def test_a_stream_that_stays_fresh_is_said(caplog):
    ca = network("resnet", "ca")
    loaded = load_torch_weights(ca, exported("resnet", "torchvision"))
    assert loaded.notes == ("the weights are of a GAP network: the stream of resnet18_small keeps its fresh weights",)
    assert [record.levelname for record in caplog.records if "stream" in record.message] == ["WARNING"]
    assert loaded.poolings()["gap"].notes == loaded.notes
    assert ca.notes == ()
    assert load_torch_weights(loaded, exported("resnet", "torchvision", "ca")).notes == ()


def test_a_stream_that_is_to_be_trained_is_no_reason_to_warn(caplog):
    with caplog.at_level("INFO", logger="castream_jax"):
        loaded = load_torch_weights(network("resnet", "ca"), exported("resnet", "torchvision"), fresh_stream="meant")
    assert loaded.notes
    assert [record.levelname for record in caplog.records if "stream" in record.message] == ["INFO"]


def test_the_average_of_a_checkpoint(tmp_path):
    weights = exported("resnet", "torchvision")
    doubled = {key: 2 * array for key, array in weights.items()}
    content = {"model": weights, "model_ema": {"n_averaged": np.array(3)} | rename(doubled, "module.")}
    path = save(tmp_path / "weights.pth", content)
    raw, average = (load_weights(network("resnet"), path, average=average) for average in (False, True))
    np.testing.assert_array_equal(2 * raw.classifier.linear.kernel[...], average.classifier.linear.kernel[...])
    assert raw.notes == ()
    assert average.notes == ("the weights are a moving average over training",)
    with pytest.raises(InputError, match="holds no moving average"):
        load_weights(network("resnet"), save(tmp_path / "raw.pth", {"model": weights}), average=True)
