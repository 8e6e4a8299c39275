"""Features that are kept: what a step with images would compute, by view, resumable and never of another trunk."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

from castream_jax.compute.sharding import create_mesh
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pipeline import augmented_view
from castream_jax.data.source import open_source
from castream_jax.errors import InputError, RunError, Stopped
from castream_jax.experiment.loading import load_trained
from castream_jax.models.classifier import create_model
from castream_jax.storage.array_trees import digest
from castream_jax.training.feature_cache import FeatureCache
from castream_jax.training.loop import train
from castream_jax.training.stopping import StopRequest
from tests.training.small import killed_in_the_second_epoch, small_experiment

pytestmark = pytest.mark.slow

VIEWS = 2


@pytest.fixture(scope="module")
def source(demo_directory):
    return open_source("castream_demo", "train[:20]", str(demo_directory))


@pytest.fixture(scope="module")
def model():
    return create_model("resnet18_small", num_classes=10)


def open_cache(directory, model, source, **augmentation):
    data = dataclasses.replace(small_experiment("").data, **augmentation)
    return FeatureCache(directory, model, source, data, 0, create_mesh())


def fill(cache, stop=None):
    cache.fill(VIEWS, 8, BadRecords(cache.source, "stop"), stop or StopRequest())


@pytest.fixture(scope="module")
def filled(tmp_path_factory, model, source):
    cache = open_cache(tmp_path_factory.mktemp("features"), model, source)
    fill(cache)
    return cache


def test_features_are_those_of_the_images_of_training(filled, model, source):
    """Every view, in stored order: of the whole split, whose last batch is not full."""
    kept = [filled.open_view(view) for view in range(VIEWS)]
    for found in kept:
        np.testing.assert_array_equal(found["labels"], [source[i]["label"] for i in range(len(source))])
    assert {tap for tap in kept[0] if tap != "labels"} == set(model.backbone.taps)
    assert not np.array_equal(kept[0]["stage4"], kept[1]["stage4"])
    for view, found in enumerate(kept):
        batch = next(augmented_view(source, filled.data, len(source), filled.seed, view, BadRecords(source, "stop")))
        expected = model.features(model.normalisation(batch["images"]))
        for tap in model.backbone.taps:
            largest = float(np.abs(expected[tap]).max())
            np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-3, atol=1e-3 * largest)


def test_batches_hold_every_view_once(filled, source):
    batches = filled.batches(VIEWS, 8)
    seen = np.concatenate([next(batches)["features"]["stage4"].sum((1, 2, 3), dtype=np.float64) for _ in range(5)])
    kept = [filled.open_view(view)["stage4"].sum((1, 2, 3), dtype=np.float64) for view in range(VIEWS)]
    np.testing.assert_array_equal(np.sort(seen), np.sort(np.concatenate(kept)))
    later = next(filled.batches(VIEWS, 8, first_step=3))["features"]["stage4"].sum((1, 2, 3), dtype=np.float64)
    np.testing.assert_array_equal(later, seen[24:32])


def test_what_is_there_is_not_computed_again(filled, monkeypatch):
    monkeypatch.setattr(filled, "compute_view", None)
    fill(filled)


def test_features_of_another_trunk_or_augmentation_are_computed_again(filled, model, source, tmp_path):
    other = open_cache(filled.directory, create_model("resnet18_small", num_classes=10, seed=1), source)
    flipped = open_cache(filled.directory, model, source, flip=True)
    assert other.describe() != filled.describe() != flipped.describe()
    shutil.copytree(filled.place(0), tmp_path / "view-000")
    moved = open_cache(tmp_path, model, source, flip=True)
    assert moved.read_made_of(0) == filled.describe()
    fill(moved)
    assert moved.read_made_of(0) == moved.describe()


def test_a_stopped_run_keeps_whole_views(model, source, tmp_path):
    cache, stop = open_cache(tmp_path, model, source), StopRequest()
    asked = iter([False] * 4 + [True])  # three batches a view
    stop.reached = lambda: next(asked)
    with pytest.raises(Stopped, match="views that are whole are kept"):
        fill(cache, stop)
    assert cache.read_made_of(0) == cache.describe()
    assert not cache.place(1).exists()


def test_damaged_features_are_named(model, source, tmp_path):
    cache = open_cache(tmp_path, model, source)
    fill(cache)
    path = cache.place(1) / "stage4.npy"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"view-001/stage4.npy is damaged .*: remove .*view-001"):
        next(cache.batches(VIEWS, 8))


def test_no_room(model, source, tmp_path, monkeypatch):
    cache = open_cache(tmp_path, model, source)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(
        InputError, match=r"2 views of 20 images take 0\.\d+ GB, and .* has 1e-08 GB left: ask for fewer"
    ):
        fill(cache)


def test_features_beyond_float16(source, tmp_path):
    model = create_model("resnet18_small", num_classes=10)
    large = jax.tree.map(lambda leaf: leaf * 1e4, nnx.state(model.backbone, nnx.Param))
    nnx.update(model.backbone, large)
    with pytest.raises(RunError, match="holds what float16 cannot: .*cached_views=0"):
        fill(open_cache(tmp_path, model, source))


def test_a_stream_is_trained_on_them_and_resumes_to_the_bit(demo_directory, tmp_path):
    experiment = small_experiment(str(demo_directory))
    experiment = dataclasses.replace(
        experiment,
        backbone=dataclasses.replace(experiment.backbone, epochs=1),
        stream=dataclasses.replace(experiment.stream, cached_views=VIEWS, distillation=0.5, temperature=2.0),
        model=dataclasses.replace(experiment.model, stream_init="identity"),
    )
    model = train(experiment, tmp_path / "whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation_accuracy_ca" in line] == [3, 6]
    with killed_in_the_second_epoch():
        train(experiment, tmp_path / "stopped")
    resumed = train(experiment, tmp_path / "stopped")
    assert digest(jax.device_get(nnx.state(resumed))) == digest(jax.device_get(nnx.state(model)))
    assert load_trained(experiment, tmp_path / "stopped", 10).pooling == "ca"
