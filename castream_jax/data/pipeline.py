"""Batches of uint8 images: shuffled and augmented for training, in order and padded for evaluation.

A record's place and its augmentation are functions of the seed and the step alone, whatever the number of
workers or threads: that is what makes a resumed run see the data it would have seen.
"""

from collections.abc import Iterator
from typing import Any

import grain.python as grain
import jax
import numpy as np
from PIL import Image

from castream_jax.config import DataConfig
from castream_jax.data import preprocess
from castream_jax.data.source import Source
from castream_jax.errors import InputError

Batch = dict[str, np.ndarray]


def training_batches(
    source: Source, data: DataConfig, batch_size: int, seed: int, first_step: int = 0
) -> Iterator[Batch]:
    """Yield this process's part of each training batch, without end.

    Args:
      source: the training split.
      data: how images are augmented.
      batch_size: images in a batch over all processes.
      seed: of order and augmentation.
      first_step: the step whose batch comes first.

    Yields:
      `images` uint8 [B S S 3] and `labels` int32 [B].
    """

    def augment(record: dict[str, Any], rng: np.random.Generator) -> Batch:
        image = decode_record(record)
        pixels = np.asarray(preprocess.random_resized_crop(image, data.image_size, data.crop_scale, rng))
        if data.flip and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        if data.brightness:
            pixels = preprocess.jitter_brightness(pixels, data.brightness, rng)
        return {"images": pixels, "labels": np.asarray(record["label"], np.int32)}

    dataset = (
        grain.MapDataset.source(source)
        .seed(seed)
        .shuffle()
        .slice(slice(jax.process_index(), None, jax.process_count()))
        .repeat()
        .random_map(augment)
        .batch(batch_size // jax.process_count(), drop_remainder=True)
        .slice(slice(first_step, None))
    )
    batches = dataset.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=16))
    if data.workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=data.workers))
    return iter(batches)


def evaluation_batches(
    source: Source, resize: preprocess.Resize, batch_size: int, num_images: int = 0
) -> Iterator[Batch]:
    """Yield a split in stored order, every batch of the same shape.

    Args:
      source: the split.
      resize: how images become squares, of side S.
      batch_size: images in a batch; the last one is padded with its first image.
      num_images: stop after this many; 0: the whole split.

    Yields:
      `images` uint8 [B S S 3], `labels` int32 [B], `ids` str [B], `valid` bool [B], false where padded.
    """

    def prepare(index: int, record: dict[str, Any]) -> Batch:
        pixels = np.asarray(resize(decode_record(record, index)))
        return {
            "images": pixels,
            "labels": np.asarray(record["label"], np.int32),
            "ids": np.asarray(record_id(record, index)),
        }

    count = min(num_images or len(source), len(source))
    dataset = grain.MapDataset.source(source).slice(slice(0, count)).map_with_index(prepare)
    reader = iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=2 * batch_size)))
    for start in range(0, count, batch_size):
        records = [next(reader) for _ in range(min(batch_size, count - start))]
        valid = np.arange(batch_size) < len(records)
        records += [records[0]] * (batch_size - len(records))
        yield {key: np.stack([record[key] for record in records]) for key in records[0]} | {"valid": valid}


def decode_record(record: dict[str, Any], index: int | str = "without a name") -> Image.Image:
    """Return a record's picture as RGB; `InputError` with the record's name if it cannot be decoded."""
    try:
        return preprocess.decode(record["image"])
    except InputError as error:
        raise InputError(f"record {record_id(record, index)!r}: {error}") from error


def record_id(record: dict[str, Any], index: int | str) -> str:
    """Return a record's stable name: its id or file name where the dataset has one, else its index."""
    name = record.get("id", record.get("file_name", index))
    return name.decode() if isinstance(name, bytes) else str(name)
