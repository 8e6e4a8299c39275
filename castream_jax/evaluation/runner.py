"""Runs an evaluation from a trained network to its report.

accuracy of every pooling -> rows, batch by batch -> report.json, report.md, report.html, rows.parquet, figures
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from flax import nnx
from tqdm import tqdm

from castream_jax.config import Experiment
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.records import BadRecords
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError
from castream_jax.evaluation.batch import create_evaluate_batch, map_keys, to_rows
from castream_jax.evaluation.figures import Gallery
from castream_jax.metrics.protocol import Protocol
from castream_jax.sharding import create_mesh
from castream_jax.training.accuracy import SplitAccuracy
from castream_jax.training.network import build_network, evaluation_protocol, evaluation_resize, load_trained


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    protocol: Protocol
    rows: pa.Table
    gallery: Gallery
    accuracy: dict[str, float]
    """Of each pooling, over the whole split, a fraction."""
    untrained_accuracy: dict[str, float]
    """Of the stream before training, on the same backbone and classifier; empty for a GAP network."""
    accuracy_images: int
    seconds: float


def evaluate(experiment: Experiment, workdir: Path) -> Evaluation:
    """Measure the network that training left in `workdir`: accuracies, and one row for each image and map.

    Raises:
      InputError: no checkpoint, or a config that does not fit it; an unknown protocol, attribution or split.
    """
    if jax.process_count() > 1:
        raise InputError("an evaluation runs in one process, on all its devices: leave out --distributed.")
    start = time.monotonic()
    config, data = experiment.evaluation, experiment.data
    protocol = evaluation_protocol(experiment)
    source = open_source(data.name, config.split, data.directory)
    model = load_trained(experiment, workdir, source.num_classes)
    keys = map_keys(model, config.attributions)
    model.target(config.target or None)

    graphdef, state = nnx.split(model)
    resize = evaluation_resize(experiment)
    accuracy = SplitAccuracy(source, resize, config.batch_size, graphdef, create_mesh(), data.on_bad_record)
    untrained: dict[str, float] = {}
    if model.stream is not None:
        fresh = build_network(experiment, source.num_classes)
        fresh.backbone, fresh.classifier = model.backbone, model.classifier
        untrained = {"ca": accuracy.measure(nnx.state(fresh))["ca"]}

    evaluate_batch = create_evaluate_batch(graphdef, config, protocol)
    tables: list[pa.Table] = []
    pictures: list[tuple[dict[str, Any], np.ndarray, np.ndarray]] = []
    total = min(config.num_images or len(source), len(source))
    bad_records = BadRecords(source, data.on_bad_record)
    batches = evaluation_batches(source, resize, config.batch_size, range(total), bad_records=bad_records)
    with tqdm(total=total, desc="evaluate", unit="image") as bar:
        for batch in batches:
            results = jax.device_get(evaluate_batch(state, batch["images"], batch["labels"]))
            tables.append(to_rows(keys, results, batch["ids"], batch["labels"], batch["valid"]))
            if len(pictures) * config.batch_size < config.num_figures:
                pictures.append((batch, results["maps"], results["predicted_class"]))
            bar.update(int(batch["valid"].sum()))
    trained = accuracy.measure(state)
    return Evaluation(
        rows=pa.concat_tables(tables),
        gallery=collect_gallery(pictures, keys, source, config.num_figures),
        protocol=protocol,
        accuracy=trained,
        untrained_accuracy=untrained,
        accuracy_images=accuracy.images,
        seconds=time.monotonic() - start,
    )


def collect_gallery(
    pictures: list[tuple[dict[str, Any], np.ndarray, np.ndarray]],
    keys: tuple[tuple[str, str], ...],
    source: Source,
    count: int,
) -> Gallery:
    """Return the first `count` images of the evaluation with their maps, for drawing."""
    images, ids, titles, maps = [], [], [], []
    for batch, batch_maps, predicted in pictures:
        for i in np.flatnonzero(batch["valid"]):
            found = {pooling: source.class_names[predicted[m, i]] for m, (_, pooling) in enumerate(keys)}
            said = ", ".join(f"{pooling.upper()}: {name}" for pooling, name in found.items())
            images.append(batch["images"][i])
            ids.append(str(batch["ids"][i]))
            titles.append(f"{source.class_names[batch['labels'][i]]} ({said})")
            maps.append(batch_maps[:, i])
    chosen = slice(0, count)
    stacked = np.stack(maps[chosen], axis=1) if maps[chosen] else np.zeros((len(keys), 0, 1, 1), np.float32)
    return Gallery(
        images=np.stack(images[chosen]) if images[chosen] else np.zeros((0, 1, 1, 3), np.uint8),
        ids=tuple(ids[chosen]),
        titles=tuple(titles[chosen]),
        maps=dict(zip(keys, stacked, strict=True)),
    )
