"""Batches: a function of the seed and the step alone; padded and marked in evaluation."""

import itertools

import numpy as np
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.pipeline import evaluation_batches, training_batches
from castream_jax.data.preprocess import Resize
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError

DATA = DataConfig(name="castream_demo", image_size=32, crop_scale=0.5)


@pytest.fixture(scope="module")
def train(demo_directory):
    return open_source("castream_demo", "train", str(demo_directory))


def take(source, count, seed=0, first_step=0, data=DATA):
    return list(itertools.islice(training_batches(source, data, 16, seed, first_step), count))


def test_batches_are_uint8_squares(train):
    (batch,) = take(train, 1)
    assert batch["images"].shape == (16, 32, 32, 3)
    assert batch["images"].dtype == np.uint8
    assert batch["labels"].shape == (16,)
    assert batch["labels"].dtype == np.int32


def test_a_resumed_run_sees_the_same_data(train):
    whole, rest = take(train, 10), take(train, 4, first_step=6)
    for expected, found in zip(whole[6:], rest, strict=True):
        np.testing.assert_array_equal(expected["images"], found["images"])
        np.testing.assert_array_equal(expected["labels"], found["labels"])


def test_seeds_and_epochs_differ(train):
    epoch = len(train) // 16
    first = take(train, 1 + epoch)
    assert not np.array_equal(first[0]["images"], take(train, 1, seed=1)[0]["images"])
    assert not np.array_equal(first[0]["images"], first[epoch]["images"])


def test_an_epoch_has_every_image_once(train):
    still = DataConfig(name="castream_demo", image_size=32, crop_scale=1.0, flip=False, brightness=0.0)
    labels = np.concatenate([batch["labels"] for batch in take(train, len(train) // 16, data=still)])
    assert sorted(labels) == sorted(train[i]["label"] for i in range(len(train)))


@pytest.mark.parametrize(("batch_size", "num_images"), [(16, 0), (16, 20), (64, 0), (40, 0)])
def test_evaluation_pads_and_marks(demo_directory, batch_size, num_images):
    source = open_source("castream_demo", "test", str(demo_directory))
    batches = list(evaluation_batches(source, Resize(32, "squash"), batch_size, num_images))
    assert {batch["images"].shape for batch in batches} == {(batch_size, 32, 32, 3)}
    ids = [name for batch in batches for name in batch["ids"][batch["valid"]]]
    assert ids == [f"test_{i:05d}" for i in range(num_images or len(source))]


def test_a_broken_picture_is_named():
    source = Source("pets", "test", [{"image": b"no picture", "label": 0, "file_name": b"7.jpeg"}], ("cat",))
    with pytest.raises(InputError, match=r"record '7.jpeg': cannot decode a picture of 10 bytes"):
        next(evaluation_batches(source, Resize(32, "squash"), 1))
