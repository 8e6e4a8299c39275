"""Every array of every network has one key in every naming scheme; torchvision's come with torch's shapes."""

import functools

import pytest
from flax import nnx

from castream_jax import InputError, create_model
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.weights.matching import recognise
from castream_jax.weights.names import find_scheme, list_schemes
from castream_jax.weights.scheme import IGNORED
from tests import goldens

GOLDEN = [
    (key.removesuffix("_stream"), "ca" if key.endswith("_stream") else "gap") for key in goldens.state_dict_keys()
]


@functools.cache
def arrays(name: str) -> dict[tuple[str | int, ...], tuple[int, ...]]:
    """Return the shape of every array of a CA network by its path."""
    state = nnx.state(nnx.eval_shape(lambda: create_model(name)))
    return {path: variable.shape for path, variable in nnx.to_flat_state(state)}


def test_the_goldens_name_eight_networks():
    assert len(GOLDEN) == 8


@pytest.mark.parametrize(("name", "pooling"), GOLDEN)
def test_torchvision_s_keys_and_shapes(name, pooling):
    scheme, expected = find_scheme("torchvision", name), goldens.state_dict_keys()
    paths = [path for path in arrays(name) if pooling == "ca" or path[0] != "stream"]
    found = {scheme.key(path): scheme.shape(scheme.key(path), arrays(name)[path]) for path in paths}
    assert found == expected[f"{name}_stream" if pooling == "ca" else name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_two_arrays_share_a_key(name):
    for scheme in list_schemes(name):
        keys = {path: scheme.key(path) for path in arrays(name)}
        assert all((key is None) == (path[0] == "stream" and not scheme.has_stream) for path, key in keys.items())
        named = [key for key in keys.values() if key is not None]
        assert len(set(named)) == len(named)


@pytest.mark.parametrize("name", ["resnet50", "convnext_tiny", "efficientnet_lite2"])
def test_a_scheme_is_recognised_by_its_keys(name):
    for scheme in list_schemes(name):
        keys = {scheme.key(path) for path in arrays(name) if path[0] == "backbone"}
        assert recognise(keys, name, arrays(name)).scheme is scheme


def test_keys_that_nothing_names():
    with pytest.raises(InputError, match=r"do not fit resnet18: none of their 2 keys is known \(first a, b\)"):
        recognise(["b", "a"], "resnet18", arrays("resnet18"))


@pytest.mark.parametrize(
    ("architecture", "path"),
    [
        ("resnet18", ("backbone", "stem", "extra")),
        ("resnet18", ("backbone", "stages", 0, 0, "expand", "kernel")),
        ("convnext_tiny", ("backbone", "stages", 0, 0, "convs", 0, "kernel")),
    ],
)
def test_an_array_without_a_rule_is_an_error(architecture, path):
    with pytest.raises(KeyError, match=f"no rule of torchvision names {'.'.join(map(str, path))}"):
        find_scheme("torchvision", architecture).key(path)


def test_only_counters_are_ignored():
    assert IGNORED.search("layer1.0.bn1.num_batches_tracked")
    assert IGNORED.search("n_averaged")
    assert not IGNORED.search("layer1.0.bn1.not_n_averaged")
    assert not any(IGNORED.search(key) for keys in goldens.state_dict_keys().values() for key in keys)
