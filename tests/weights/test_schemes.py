"""Every naming scheme of every architecture: the publishers' own keys, and back again to the bit."""

import dataclasses
import functools
import json
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from castream_jax import InputError, create_model, export_weights, load_torch_weights
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.models.convnext import ConvNeXtSpec
from castream_jax.models.families import resolve
from castream_jax.models.resnet import ResNetSpec
from castream_jax.weights.names import find_scheme, list_schemes
from tests.networks import BUILDS, small_convnext, small_resnet

pytestmark = pytest.mark.slow

KEYS = json.loads((Path(__file__).parent / "data" / "keys.json").read_text())
LARGE = (
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnet50d",
    "resnet101d",
    "convnext_small",
    "convnext_base",
    "convnext_large",
)
WIDER = ("convnext_base", "convnext_large")
"""They have the blocks of `convnext_small`, which comes in every scheme, and here in one."""
PAIRS = [
    pytest.param(name, scheme.name, marks=[pytest.mark.slow] if name in LARGE else [])
    for name in ARCHITECTURES
    for scheme in list_schemes(name)
    if name not in WIDER or scheme.name == "torchvision"
]


@functools.cache
def abstract(name: str, pooling: str = "gap"):
    return nnx.eval_shape(lambda: create_model(name, pooling))


@functools.cache
def narrow(name: str, pooling: str):
    """Return an abstract network, of a sixteenth of the channels where many are not in groups: the names are the same.

    Of the largest, 200 million numbers would go there and back; its own shapes are those of the next test.
    """
    _, family, spec = resolve(name)
    if isinstance(spec, ConvNeXtSpec) or (isinstance(spec, ResNetSpec) and spec.groups == 1 and spec.widths[0] >= 64):
        with pytest.MonkeyPatch.context() as patch:
            widths = tuple(width // 16 for width in spec.widths)
            patch.setitem(family.specs, name, dataclasses.replace(spec, widths=widths))
            return nnx.eval_shape(lambda: create_model(name, pooling))
    return abstract(name, pooling)


@pytest.mark.parametrize("published", KEYS)
def test_names_and_shapes_are_the_publishers(published):
    scheme_name, name = published.split()
    # timm names its ResNets as torchvision does; ports of efficientnet_pytorch keep its names.
    scheme = find_scheme(
        "torchvision"
        if (scheme_name, name.split("_")[0][:6]) in (("timm", "resnet"), ("timm", "resnex"), ("timm", "wide"))
        else scheme_name,
        name,
    )
    ours = {}
    for path, variable in nnx.to_flat_state(nnx.state(abstract(name))):
        key = scheme.key(path)
        ours[key] = list(scheme.shape(key, variable.shape))
    assert ours == KEYS[published]


@pytest.mark.parametrize(("name", "scheme_name"), PAIRS)
def test_a_random_state_dict_comes_back_bit_for_bit(name, scheme_name):
    scheme = find_scheme(scheme_name, name)
    pooling = "ca" if scheme.has_stream else "gap"
    rng = np.random.default_rng(0)
    source = {}
    for path, variable in nnx.to_flat_state(nnx.state(narrow(name, pooling))):
        key = scheme.key(path)
        source[key] = rng.random(scheme.shape(key, variable.shape), dtype=np.float32)
    exported = export_weights(load_torch_weights(narrow(name, pooling), source), scheme_name)
    assert exported.keys() == source.keys()
    assert all(np.array_equal(exported[key], source[key]) for key in source)
    assert all(exported[key].flags.c_contiguous for key in exported)


@pytest.mark.parametrize("build", BUILDS.values())
def test_the_scheme_is_recognised_whatever_the_order(build):
    model = build("gap")
    for scheme in list_schemes(model.name):
        exported = export_weights(model, scheme.name)
        shuffled = {key: exported[key] for key in sorted(exported, key=lambda key: key[::-1])}
        loaded = load_torch_weights(jax.tree.map(np.zeros_like, model), shuffled)
        chex.assert_trees_all_equal(nnx.state(loaded), nnx.state(model))


@pytest.mark.parametrize("scheme_name", ["timm", "facebookresearch", "transformers"])
def test_a_stream_has_no_name_in_timm(scheme_name):
    with pytest.raises(InputError, match=f"{scheme_name}'s naming has no stream"):
        export_weights(small_convnext("ca"), scheme_name)


@pytest.mark.parametrize("scheme_name", ["timm", "facebookresearch", "torchvision", "transformers"])
def test_gap_weights_of_every_scheme_may_fill_a_ca_network(scheme_name, caplog):
    gap, ca = small_convnext("gap"), small_convnext("ca")
    with caplog.at_level("INFO", logger="castream_jax"):
        loaded = load_torch_weights(ca, export_weights(gap, scheme_name))
    assert "keeps its fresh weights" in caplog.text
    chex.assert_trees_all_equal(nnx.state(loaded.stream), nnx.state(ca.stream))


def test_replacing_the_classifier_is_explicit(caplog):
    source = export_weights(small_resnet("gap", num_classes=7))
    model = small_resnet("gap", num_classes=5)
    with pytest.raises(InputError, match=r"fc.weight is \(7, 128\), expected \(5, 128\)"):
        load_torch_weights(model, source)
    with caplog.at_level("INFO", logger="castream_jax"):
        loaded = load_torch_weights(model, source, replace_classifier=True)
    assert "classifier of resnet18_small keeps its fresh weights" in caplog.text
    np.testing.assert_array_equal(loaded.classifier.linear.kernel[...], model.classifier.linear.kernel[...])
    np.testing.assert_array_equal(loaded.backbone.stem.kernel[...].transpose(3, 2, 0, 1), source["conv1.weight"])
    without = {key: array for key, array in source.items() if not key.startswith("fc.")}
    load_torch_weights(model, without, replace_classifier=True)
    with pytest.raises(InputError, match="missing: conv1.weight"):
        load_torch_weights(model, {key: array for key, array in without.items() if key != "conv1.weight"}, True)


def test_unknown_names_are_shown():
    with pytest.raises(InputError, match=r"none of their 2 keys is known \(first a, b\).*torchvision"):
        load_torch_weights(small_resnet("gap"), {"a": np.zeros(1), "b": np.zeros(2)})


@pytest.mark.parametrize("scheme_name", ["torchvision", "castream_jax"])
def test_some_of_the_weights_classes(scheme_name):
    many, few = small_resnet("gap", num_classes=7), small_resnet("gap", num_classes=2)
    loaded = load_torch_weights(few, export_weights(many, scheme_name), classes=(5, 1))
    kernel, bias = (np.asarray(getattr(many.classifier.linear, leaf)[...]) for leaf in ("kernel", "bias"))
    np.testing.assert_array_equal(loaded.classifier.linear.kernel[...], kernel[:, [5, 1]])
    np.testing.assert_array_equal(loaded.classifier.linear.bias[...], bias[[5, 1]])
    with pytest.raises(InputError, match=r"classes \[7\] are not in these weights: fc|classifier.* has classes 0 to 6"):
        load_torch_weights(few, export_weights(many, scheme_name), classes=(5, 7))
