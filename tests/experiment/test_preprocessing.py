"""What a network was trained on: taken by default, set by the config, and a difference or a guess is said."""

import dataclasses
import logging

import numpy as np
import pytest

from castream_jax import Normalisation, Preprocessing
from castream_jax.config import DataConfig, EvaluationConfig, Experiment, ModelConfig
from castream_jax.errors import InputError
from castream_jax.experiment.preprocessing import evaluation_protocol, network_resize, settle_preprocessing, settled
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.models.inputs import IMAGENET
from tests.networks import small_resnet

HALF = Normalisation((0.5,) * 3, (0.25,) * 3)


def settle(known: Preprocessing | None, normalisation=IMAGENET, weights="some.pth", **data):
    """Return a network that knows how it was trained, once an experiment has settled on it."""
    model = small_resnet()
    model.preprocessing, model.normalisation = known, normalisation
    experiment = Experiment(
        name="x", weights=weights, model=ModelConfig(name="resnet18_small"), data=DataConfig(**data)
    )
    settle_preprocessing(model, experiment)
    return model, experiment


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch):
    """Hear the package's log, which a command may have kept to itself."""
    monkeypatch.setattr(logging.getLogger("castream_jax"), "propagate", True)
    caplog.set_level(logging.INFO, "castream_jax")


def test_what_is_known_is_taken_and_nothing_is_said(caplog):
    model, experiment = settle(Preprocessing(96), HALF)
    assert model.preprocessing == Preprocessing(96)
    assert model.normalisation == HALF
    data = settled(experiment, model).data
    assert (data.image_size, data.mean, data.std) == (96, HALF.mean, HALF.std)
    assert network_resize(model).size == 96
    assert not caplog.records


def test_the_config_goes_before_and_the_difference_is_said(caplog):
    model, _ = settle(Preprocessing(96), HALF, image_size=64, mean=IMAGENET.mean, std=IMAGENET.std)
    assert model.preprocessing == Preprocessing(64)
    assert model.normalisation == IMAGENET
    (record,) = caplog.records
    for part in ("images of 96 pixels, here 64", "mean 0.5 0.5 0.5 and std 0.25", "here pixels of mean 0.485"):
        assert part in record.getMessage()


def test_the_same_said_again_is_no_difference(caplog):
    settle(Preprocessing(96), HALF, image_size=96, mean=HALF.mean, std=HALF.std)
    assert not caplog.records


def test_a_guess_is_said_and_a_network_from_scratch_has_nothing_to_guess(caplog):
    model, _ = settle(None)
    assert model.preprocessing == Preprocessing(224)
    assert "some.pth does not say" in caplog.text
    assert "images of 224 pixels" in caplog.text
    assert "ImageNet's" in caplog.text
    caplog.clear()
    settle(None, image_size=96, mean=HALF.mean, std=HALF.std)
    settle(None, weights="")
    assert not caplog.records


def test_the_config_says_how_pictures_are_decoded():
    model, _ = settle(Preprocessing(224, orientation="stored"), transparency="drop")
    assert (model.preprocessing.orientation, model.preprocessing.transparency) == ("upright", "drop")


@pytest.mark.parametrize("weights", ["resnet18.tv_in1k", "runs/mine"])
def test_the_weights_own_resizing_is_asked_for(weights):
    model, experiment = small_resnet(), Experiment(name="x", weights=weights, model=ModelConfig(name="resnet18"))
    model.preprocessing = Preprocessing(224, "crop", "bilinear", 256)
    asked = dataclasses.replace(experiment, evaluation=EvaluationConfig(preprocessing="weights"))
    settle_preprocessing(model, asked)
    protocol = evaluation_protocol(asked, model)
    assert (protocol.resize, protocol.shorter_side) == ("crop", 256)
    assert protocol.hash != PROTOCOLS["castream"].hash
    settle_preprocessing(model, experiment)
    assert evaluation_protocol(experiment, model) == PROTOCOLS["castream"]
    assert network_resize(model).mode == "squash"


def test_the_weights_own_resizing_is_not_known():
    model = small_resnet()
    experiment = Experiment(
        name="x",
        weights="a.pth",
        model=ModelConfig(name="resnet18"),
        evaluation=EvaluationConfig(preprocessing="weights"),
    )
    with pytest.raises(InputError, match=r"'a\.pth' is no published checkpoint, nor one of ours: expected one of res"):
        settle_preprocessing(model, experiment)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"mean": (0.5,)}, r"data\.mean is \(0\.5,\): expected three numbers"),
        ({"mean": (0.5,) * 3}, r"data\.std is \(\): expected as many"),
        ({"std": (0.5,) * 3}, r"data\.std is .*expected as many numbers as data\.mean has, 0"),
        ({"mean": (123.0, 117.0, 104.0), "std": (0.5,) * 3}, r"data\.mean is .*pixels in 0\.\.1"),
        ({"mean": (0.5,) * 3, "std": (0.5, 0.5, 0.0)}, r"data\.std is .*above 0"),
        ({"mean": (0.5, 0.5, float("nan")), "std": (0.5,) * 3}, r"data\.mean is"),
        ({"image_size": -1}, r"data\.image_size is -1"),
    ],
)
def test_numbers_out_of_range(data, said):
    with pytest.raises(InputError, match=said):
        Experiment(name="x", data=DataConfig(**data))


def test_a_crop_of_another_size_keeps_its_share():
    assert Preprocessing(224, "crop", "bicubic", 256).at(112) == Preprocessing(112, "crop", "bicubic", 128)
    assert Preprocessing(224).at(96) == Preprocessing(96)
    assert np.isclose(Preprocessing(224, "crop", shorter_side=232).at(96).shorter_side / 96, 232 / 224, atol=0.01)
