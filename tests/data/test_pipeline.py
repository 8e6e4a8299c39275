"""Batches: a function of the seed and the step alone; padded and marked in evaluation."""

import dataclasses
import itertools
from typing import Any, SupportsIndex

import jax
import numpy as np
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches, load_augmented, training_batches
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError
from castream_jax.storage.array_trees import digest

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


def test_a_range_of_images(demo_directory):
    source = open_source("castream_demo", "test", str(demo_directory))
    batches = list(evaluation_batches(source, Resize(32, "squash"), 8, range(10, 21)))
    indices = np.concatenate([batch["indices"][batch["valid"]] for batch in batches])
    assert list(indices) == list(range(10, 21))
    assert len(batches) == 2


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_each_batch_in_blocks(processes, train, demo_directory, monkeypatch):
    whole = take(train, 3)
    test = open_source("castream_demo", "test", str(demo_directory))
    resize = Resize(32, "squash")
    evaluated = list(evaluation_batches(test, resize, 16))
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    parts, evaluated_parts = [], []
    for process in range(processes):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        parts.append(take(train, 3))
        evaluated_parts.append(list(evaluation_batches(test, resize, 16, block=(process, processes))))
    for expected, *blocks in zip(whole + evaluated, *map(list.__add__, parts, evaluated_parts), strict=True):
        for key in expected:
            joined = np.concatenate([block[key] for block in blocks])
            np.testing.assert_array_equal(joined, expected[key])


@pytest.mark.slow
def test_batches_are_the_same_bytes_for_any_number_of_workers(train):
    def digests(workers: int) -> list[str]:
        batches = take(train, 8, first_step=2, data=dataclasses.replace(DATA, workers=workers))
        return [digest(batch) for batch in batches]

    assert digests(0) == digests(1) == digests(2)


class Damaged(Source):
    """A source of which two records cannot be read: one gives no record, the other no picture."""

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        if index == 5:
            raise OSError("no such block")
        return super().__getitem__(index) | ({"image": b"no picture"} if index == 6 else {})


@pytest.fixture(scope="module")
def damaged(train):
    return Damaged(train.name, train.split, train.records, train.class_names)


def test_a_bad_record_stops_the_run_and_is_named(damaged):
    with pytest.raises(InputError, match=r"cannot read record [56].*castream_demo-train.*on_bad_record=skip"):
        take(damaged, len(damaged) // 16)


def test_bad_records_are_replaced_counted_and_reported_once(train, damaged, caplog):
    bad_records = BadRecords(damaged, "skip")
    epochs = 2 * len(damaged) // 16
    batches = list(itertools.islice(training_batches(damaged, DATA, 16, 0, 0, bad_records), epochs))
    assert bad_records.count == 2
    assert caplog.text.count("cannot read record 5 of") == 1
    assert caplog.text.count("cannot read record 6 (train_00006) of") == 1
    assert "no such block" in caplog.text
    whole = take(train, epochs)
    different = sum(
        not np.array_equal(expected, found)
        for before, after in zip(whole, batches, strict=True)
        for expected, found in zip(before["images"], after["images"], strict=True)
    )
    assert 2 <= different <= 4  # each bad record twice, less what a replacement of the same look may hide
    assert all("bad" not in batch for batch in batches)


def test_in_evaluation_bad_records_do_not_count(damaged):
    bad_records = BadRecords(damaged, "skip")
    batches = list(evaluation_batches(damaged, Resize(32, "squash"), 16, bad_records=bad_records))
    valid = np.concatenate([batch["valid"] for batch in batches])
    assert list(np.flatnonzero(~valid)) == [5, 6]
    assert bad_records.count == 2
    with pytest.raises(InputError, match="cannot read record 5"):
        list(evaluation_batches(damaged, Resize(32, "squash"), 16))


def test_a_split_without_a_readable_record_is_named():
    source = Source("pets", "train", [{"image": b"", "label": 0}] * 2, ("cat",))
    said = "records 0 and following of pets, split train, cannot be read.*The last one: .*there is no picture in"
    with pytest.raises(InputError, match=said):
        load_augmented(source, DATA, 0, np.random.default_rng(0))


@pytest.mark.parametrize(("batch_size", "num_images"), [(16, 0), (16, 20), (64, 0), (40, 0)])
def test_evaluation_pads_and_marks(demo_directory, batch_size, num_images):
    source = open_source("castream_demo", "test", str(demo_directory))
    batches = list(evaluation_batches(source, Resize(32, "squash"), batch_size, range(num_images or len(source))))
    assert {batch["images"].shape for batch in batches} == {(batch_size, 32, 32, 3)}
    ids = [name for batch in batches for name in batch["ids"][batch["valid"]]]
    assert ids == [f"test_{i:05d}" for i in range(num_images or len(source))]


def test_a_broken_picture_is_named():
    source = Source("pets", "test", [{"image": b"no picture", "label": 0, "file_name": b"7.jpeg"}], ("cat",))
    with pytest.raises(InputError, match=r"record 0 .7.jpeg. of pets.*: there is no picture in 10 bytes"):
        next(evaluation_batches(source, Resize(32, "squash"), 1))
