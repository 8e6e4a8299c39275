"""Reading an experiment: strict, with one clear message for each mistake."""

import dataclasses

import pytest

from castream_jax.config import Experiment, StageConfig, from_dict
from castream_jax.errors import InputError


def changed(path: str, value: object) -> dict:
    """Return an experiment's dictionary with one setting changed."""
    values = Experiment(name="x").to_dict()
    *groups, key = path.split(".")
    group = values
    for name in groups:
        group = group[name]
    group[key] = value
    return values


def test_dictionary_and_back():
    experiment = Experiment(name="x", backbone=StageConfig(epochs=2, optimizer="adamw"))
    assert from_dict(experiment.to_dict()) == experiment


def test_missing_settings_take_their_defaults():
    assert from_dict({"name": "x"}) == Experiment(name="x")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("modle", {}, "Did you mean 'model'"),
        ("stream.learning_rat", 0.1, "Did you mean 'learning_rate'"),
        ("stream.epochs", "many", "config.stream.epochs is 'many' (str): expected int"),
        ("stream.epochs", 2.5, "expected int"),
        ("stream.epochs", -1, "config.stream.epochs is -1: expected 0 to 1000000"),
        ("stream.batch_size", 0, "expected 1 to 1048576"),
        ("stream.learning_rate", 0.0, "expected a positive number"),
        ("stream.optimizer", "adam", "Did you mean 'adamw'"),
        ("stream.warmup", 1.0, "expected a share"),
        ("stream", 3, "expected a group of settings"),
        ("model.stream_init", "identical", "Did you mean 'identity'"),
        ("data.flip", 1, "expected bool"),
        ("data.crop_scale", 0.0, "above 0"),
        ("evaluation.attributions", "grad_cam", "expected a tuple"),
        ("evaluation.attributions", (), "at least one"),
        ("evaluation.num_images", -1, "0 (all) or more"),
    ],
)
def test_mistakes_are_named(path, value, said):
    with pytest.raises(InputError) as caught:
        from_dict(changed(path, value))
    assert said in str(caught.value)


def test_a_name_is_needed():
    with pytest.raises(InputError, match="name is missing"):
        from_dict({})


def test_integers_are_fine_for_floats():
    assert from_dict(changed("stream.learning_rate", 1)).stream.learning_rate == 1.0


def test_experiments_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment(name="x").name = "y"
