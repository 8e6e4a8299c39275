"""Networks of the user's own that a config names: found, checked, trained where they can be, and read again."""

import dataclasses
import logging
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from castream_jax import export_weights, load_torch_weights, load_weights
from castream_jax.config import Experiment, ModelConfig, StageConfig
from castream_jax.errors import InputError
from castream_jax.experiment.loading import build_network, load_trained
from castream_jax.models.classifier import Classifier
from castream_jax.models.network import Network
from castream_jax.storage.array_trees import digest
from castream_jax.training.loop import train
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow

MODULE = """
import jax
import jax.numpy as jnp
from flax import nnx

import castream_jax as ca
from castream_jax.models.classifier import Head
from castream_jax.models.functional import network


class Backbone(nnx.Module):
    taps, tap_widths, targets, smallest_image = ("early", "late"), (8, 16), ("late",), 8

    def __init__(self, rngs):
        self.early = nnx.Conv(3, 8, (4, 4), 4, padding="VALID", rngs=rngs)
        self.late = nnx.Conv(8, 16, (2, 2), 2, padding="VALID", rngs=rngs)

    def features(self, images, train=False):
        early = nnx.relu(self.early(images))
        return {"early": early, "late": nnx.relu(self.late(early))}

    def replace(self, features, target, feature_map):
        return features | {target: feature_map}


def create(num_classes):
    rngs = nnx.Rngs(0)
    return ca.Classifier("mine", Backbone(rngs), None, Head(16, num_classes, False, rngs))


def functional(num_classes, channels=3, **facts):
    weight = jax.random.normal(jax.random.key(0), (channels, num_classes))
    half = (0.5,) * channels
    return network(lambda x: x[:, ::4, ::4], lambda x: x.mean((1, 2)) @ weight, half, half, name="plain", **facts)


def sized(num_classes):
    return functional(num_classes, size=64)


def seven(num_classes):
    return functional(7)


def five_channels(num_classes):
    return functional(num_classes, 5)


def nothing(num_classes):
    return None


def failing(num_classes):
    raise RuntimeError("no weights here")


def not_a_module(num_classes):
    class Plain:
        pass

    plain, model = Plain(), functional(num_classes)
    for name in ("name", "normalisation", "preprocessing", "class_names", "notes", "score", "pooling", "num_classes",
                 "targets", "has_attention", "features", "head", "scores", "replace", "target", "poolings"):
        setattr(plain, name, getattr(model, name))
    return plain


def dropping(num_classes):
    model = create(num_classes)
    model.backbone.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    return model


number = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Put a module `nets` into the current directory."""
    (tmp_path / "nets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    return tmp_path


def experiment(name: str, pooling: str = "gap", **changes) -> Experiment:
    return Experiment("test", model=ModelConfig(f"nets:{name}", pooling), **changes)


def test_a_functional_network_needs_no_checkpoint(nets, caplog):
    for pooling in ("gap", "ca"):
        model = load_trained(experiment("functional", pooling), nets / "run", 5)
        assert isinstance(model, Network)
        assert (model.name, model.num_classes, model.preprocessing.size) == ("plain", 5, 224)
    assert "nets:functional does not say how pictures became the network's input: taking images of 224 p" in caplog.text
    caplog.clear()
    assert load_trained(experiment("sized"), nets / "run", 5).preprocessing.size == 64
    assert not caplog.messages


def train_small(nets, name: str, pooling: str, directory: str = "") -> tuple[Experiment, Classifier]:
    """Train on the small demo set; a stage of 3 steps for the stream, none for the backbone."""
    small = small_experiment(directory, model=ModelConfig(f"nets:{name}", pooling), backbone=StageConfig(epochs=0))
    small = dataclasses.replace(small, stream=dataclasses.replace(small.stream, epochs=1))
    return small, train(small, nets / "run")


@pytest.fixture
def directory(demo_directory):
    return str(demo_directory)


def test_a_functional_network_is_not_trained(nets, directory):
    with pytest.raises(InputError, match="nets:functional cannot be trained here: .*evaluate.py"):
        train_small(nets, "functional", "ca", directory)


def test_a_stream_on_a_backbone_of_ones_own(nets, directory):
    small, model = train_small(nets, "create", "ca", directory)
    fresh = build_network(small, model.num_classes)
    assert digest(nnx.state(model.backbone)) == digest(nnx.state(fresh.backbone)), "nothing but the stream is trained"
    assert digest(nnx.state(model.stream)) != digest(nnx.state(fresh.stream))
    loaded = load_trained(small, nets / "run", model.num_classes)
    assert digest(nnx.state(loaded)) == digest(nnx.state(model))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 32, 32, 3)), jnp.float32)
    np.testing.assert_array_equal(loaded(images), model(images))


def test_its_pooling_is_the_config_s(nets, caplog):
    assert not build_network(experiment("create", "gap"), 5).has_attention
    assert build_network(experiment("create", "ca"), 5).has_attention
    with pytest.raises(InputError, match="there is no checkpoint in .*train a network first"):
        load_trained(experiment("create", "ca"), nets / "run", 5)
    with caplog.at_level(logging.WARNING):
        assert load_trained(experiment("create", "gap"), nets / "run", 5).pooling == "gap"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seven", r"nets:seven\(5\) returns a network of 7 classes: the dataset has 5"),
        ("five_channels", "nets:five_channels is for images of 5 channels"),
        ("nothing", r"returns NoneType, which has no name, normalisation, .*poolings: expected a network"),
        ("failing", r"nets:failing\(5\) fails \(RuntimeError: no weights here\)"),
        ("dropping", "holds keys of random numbers, as dropout does"),
        ("not_a_module", "returns Plain: expected an nnx.Module"),
        ("number", "is int: expected a function"),
        ("creat", "Did you mean 'create'"),
    ],
)
def test_mistakes_are_named(nets, name, said):
    with pytest.raises(InputError, match=said):
        load_trained(experiment(name), nets / "run", 5)


def test_it_comes_with_its_weights(nets):
    with pytest.raises(InputError, match="config.weights is 'some.pth', and the network of nets:functional comes with"):
        load_trained(experiment("functional", weights="some.pth"), nets / "run", 5)


def test_its_weights_are_exported_and_read_in_our_own_names(nets):
    model = build_network(experiment("create", "ca"), 5)
    weights = export_weights(model)
    assert weights["backbone.early.kernel"].shape == (4, 4, 3, 8)
    save_file(weights, nets / "mine.safetensors")
    moved = jax.tree.map(lambda leaf: leaf + 1, model)
    assert digest(nnx.state(load_weights(moved, nets / "mine.safetensors"))) == digest(nnx.state(model))
    loaded = build_network(experiment("create", "gap", weights=str(save_gap(nets, moved))), 5)
    assert digest(nnx.state(loaded)) == digest(nnx.state(moved.poolings()["gap"]))
    with pytest.raises(InputError, match="unknown naming scheme of mine 'timm'"):
        export_weights(model, "timm")
    with pytest.raises(InputError, match="Expected its own weights in the names of castream_jax, as backbone.early"):
        load_torch_weights(model, {"layer1.weight": np.zeros(3)})


def save_gap(place: Path, model: Classifier) -> Path:
    """Save the weights of a network's GAP."""
    save_file(export_weights(model.poolings()["gap"]), place / "gap.safetensors")
    return place / "gap.safetensors"
