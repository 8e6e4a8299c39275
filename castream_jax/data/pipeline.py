"""Batches of uint8 images: shuffled and augmented for training, in order and padded for evaluation.

A record's place and its augmentation are functions of the seed and the step alone, whatever the number of
threads, workers or processes: that is what makes a resumed run, or one on more machines, see the same data.
"""

import functools
import signal
from collections.abc import Generator, Iterator, Mapping
from typing import Any, SupportsIndex

import grain.python as grain
import jax
import numpy as np

from castream_jax.config import DataConfig
from castream_jax.cpu import count_cores
from castream_jax.data.bad_records import BadRecords, read_picture, record_id
from castream_jax.data.classes.label_sets import encode_labels
from castream_jax.data.pictures import preprocess
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.source import Source
from castream_jax.errors import InputError

Batch = dict[str, np.ndarray]
NONE = -1
"""In place of the index of a bad record."""
MET = ("oriented", "transparent")
"""What is told of each picture of an evaluation."""
NEIGHBOURS = 100
"""Bad records in a row after which the storage is to blame."""


def training_batches(
    source: Source,
    data: DataConfig,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    bad_records: BadRecords | None = None,
) -> Generator[Batch]:
    """Yield this process's part of each training batch, without end; close it to end the workers.

    Args:
      source: the training split.
      data: how images are augmented.
      batch_size: images in a batch over all processes, each of which takes one block of it.
      seed: of order and augmentation.
      first_step: the step whose batch comes first.
      bad_records: told of each record that could not be read, in whose place its next neighbour comes; by default
        as `data.on_bad_record` says.

    Yields:
      `images` uint8 [B S S 3] and `labels` int32 [B], or uint8 [B K] of a source with several labels.
    """
    bad_records = bad_records or BadRecords(source, data.on_bad_record)
    process, processes = jax.process_index(), jax.process_count()
    dataset = (
        grain.MapDataset.range(len(source))
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(functools.partial(load_augmented, source, data))
        .batch(batch_size // processes, drop_remainder=True)
        .slice(slice(first_step * processes + process, None, processes))
    )
    if data.workers:
        alone = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
        workers = grain.MultiprocessingOptions(num_workers=data.workers, per_worker_buffer_size=2)
        batches = iter(dataset.to_iter_dataset(alone).mp_prefetch(workers, worker_init_fn=leave_signals_alone))
    else:
        batches = iter(dataset.to_iter_dataset(read_options()))
    try:
        for batch in batches:
            report_bad(batch, bad_records)
            yield batch
    finally:
        batches.close()


def augmented_view(
    source: Source, data: DataConfig, batch_size: int, seed: int, view: int, bad_records: BadRecords
) -> Iterator[Batch]:
    """Yield one augmented view of each image of a split, in stored order.

    Args:
      source, data, seed, bad_records: as of `training_batches`.
      batch_size: images in a batch; the last one may be smaller.
      view: which; each has its own augmentation of every image.

    Yields:
      `images` uint8 [B S S 3] and `labels`, as of `training_batches`.
    """
    dataset = (
        grain.MapDataset.range(len(source))
        .seed(seed)
        .repeat(view + 1)
        .random_map(functools.partial(load_augmented, source, data))
        .slice(slice(view * len(source), (view + 1) * len(source)))
        .batch(batch_size)
    )
    for batch in dataset.to_iter_dataset(read_options()):
        report_bad(batch, bad_records)
        yield batch


def report_bad(batch: Batch, bad_records: BadRecords) -> None:
    """Take out of a batch which records could not be read, and report them."""
    for index in batch.pop("bad"):
        if index != NONE:
            bad_records.report(int(index))


def load_augmented(source: Source, data: DataConfig, index: int, rng: np.random.Generator) -> Batch:
    """Return record `index`, or the next one that can be read, at random size, place, side and brightness."""
    bad, reason = NONE, ""
    for candidate in range(index, index + min(NEIGHBOURS, len(source))):
        try:
            picture, record, _ = read_picture(source, candidate % len(source))
            break
        except InputError as error:
            bad, reason = index, str(error)
    else:
        first = f"records {index} and following of {source.name}, split {source.split}"
        raise InputError(
            f"{first}, cannot be read, {NEIGHBOURS} or all that there are. Is the storage there? The last one: {reason}"
        )
    pixels = np.asarray(preprocess.random_resized_crop(picture.image, data.image_size, data.crop_scale, rng))
    if data.flip and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if data.brightness:
        pixels = preprocess.jitter_brightness(pixels, data.brightness, rng)
    return {"images": pixels, "labels": label_record(source, record), "bad": np.asarray(bad)}


def evaluation_batches(
    source: Source,
    resize: preprocess.Resize,
    batch_size: int,
    images: range | None = None,
    block: tuple[int, int] = (0, 1),
    bad_records: BadRecords | None = None,
    with_truth: bool = False,
) -> Iterator[Batch]:
    """Yield batches of a split in stored order, every batch of the same shape.

    Args:
      source: the split.
      resize: how images become squares, of side S.
      batch_size: images in a batch.
      images: which images, one after the other; None: the whole split.
      block: (i, n): yield block i of the n equal blocks of each batch only, as process i of n.
      bad_records: told of each record that could not be read; by default the first one raises `InputError`.
      with_truth: also yield `truth` bool [B S S], where the object is; nowhere if its record does not say.

    Yields:
      `images` uint8 [B S S 3], `labels` as of `training_batches`, `indices` int32 [B], the images' places in the split,
      `ids` str [B], `valid` bool [B], false for what never counts: padding, which is black, and records that could not
      be read;
      `oriented` and `transparent` bool [B], what was met in a picture, whatever was done about it.
    """
    bad_records = bad_records or BadRecords(source, "stop", resize if with_truth else None)
    images = range(len(source)) if images is None else images
    local = batch_size // block[1]
    firsts = range(
        images.start + block[0] * local, images.start + -(-len(images) // batch_size) * batch_size, batch_size
    )
    own = np.concatenate([np.arange(first, first + local) for first in firsts] or [np.arange(0)])
    load = functools.partial(load_resized, source, resize, with_truth)
    dataset = grain.MapDataset.source(own[own < images.stop]).map(load)
    reader = iter(dataset.to_iter_dataset(read_options(2 * local)))
    for first in firsts:
        records = [next(reader) for _ in range(first, min(first + local, images.stop))]
        for record in records:
            if record["bad"] != NONE:
                bad_records.report(int(record["bad"]))
        records += [blank(source, resize.size)] * (local - len(records))
        keys = ("images", "labels", "indices", "ids", "valid", *MET, *(("truth",) if with_truth else ()))
        yield {key: np.stack([record[key] for record in records]) for key in keys}


def count_pictures(batch: Batch) -> PictureCounts:
    """Return what was met in the images of a batch of `evaluation_batches`."""
    return PictureCounts(*(int(batch[name].sum()) for name in ("valid", *MET)))


def load_resized(source: Source, resize: preprocess.Resize, with_truth: bool, index: SupportsIndex) -> Batch:
    """Return record `index` as a square; a blank that is not valid if it cannot be read."""
    try:
        picture, record, truth = read_picture(source, int(index), resize if with_truth else None)
    except InputError:
        return blank(source, resize.size, int(index))
    return {
        "images": np.asarray(resize(picture.image)),
        "labels": label_record(source, record),
        "indices": np.asarray(index, np.int32),
        "ids": np.asarray(record_id(record, int(index))),
        "valid": np.asarray(True),
        "oriented": np.asarray(picture.is_oriented),
        "transparent": np.asarray(picture.is_transparent),
        "bad": np.asarray(NONE),
        "truth": np.zeros((resize.size, resize.size), bool) if truth is None else truth,
    }


def label_record(source: Source, record: Mapping[str, Any]) -> np.ndarray:
    """Return a record's label, int32 [], or of several its row, uint8 [K] (`label_sets`)."""
    if source.has_several_labels:
        return encode_labels(record, source.num_classes)
    return np.asarray(record["label"], np.int32)


def blank(source: Source, size: int, bad: int = NONE) -> Batch:
    """Return a black image that never counts: padding, or what stands for record `bad`."""
    return {
        "images": np.zeros((size, size, 3), np.uint8),
        "labels": label_record(source, {"label": 0, "labels": ()}),
        "indices": np.zeros((), np.int32),
        "ids": np.asarray(""),
        "valid": np.asarray(False),
        "oriented": np.asarray(False),
        "transparent": np.asarray(False),
        "bad": np.asarray(bad),
        "truth": np.zeros((size, size), bool),
    }


def leave_signals_alone(*_: int) -> None:
    """Let a worker live on when its whole group is asked to stop: the run still needs batches to end as it should."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def read_options(buffered: int = 0) -> grain.ReadOptions:
    """Return a reading thread for each core, at most 16: decoding lets go of Python's lock."""
    threads = min(count_cores(), 16)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads + 1, buffered))
