"""Runs an evaluation from a trained network to its rows.

    accuracy of every pooling -> parts of the rows, batch by batch -> all rows

Many processes share the parts, and wait for each other at the end only.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from tqdm import tqdm

from castream_jax.config import Experiment
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.records import BadRecords
from castream_jax.data.source import Source, open_source
from castream_jax.data.truth import has_truth
from castream_jax.evaluation.batch import create_evaluate_batch, map_keys, to_rows
from castream_jax.evaluation.chunk import settle_chunk
from castream_jax.evaluation.cost import Cost, from_array
from castream_jax.evaluation.figures import Gallery
from castream_jax.evaluation.maps import MapKey
from castream_jax.evaluation.parts import Parts, take_fingerprint
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.classifier import Classifier
from castream_jax.sharding import create_local_mesh, create_mesh, replicate
from castream_jax.training.accuracy import SplitAccuracy
from castream_jax.training.network import build_network, evaluation_protocol, evaluation_resize, load_trained
from castream_jax.trees import digest


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
    cost: Cost
    seconds: float
    """Of this run; an earlier one that was stopped had its own."""
    parts: Parts
    """What the rows came from, to be removed once they are written."""


def evaluate(experiment: Experiment, workdir: Path) -> Evaluation | None:
    """Measure the network that training left in `workdir`: accuracies, and one row for each image and map.

    A run that was stopped goes on with what it had under `evaluation/<protocol>/`. Of many processes, the first one
    returns the evaluation, the others None.

    Raises:
      InputError: no checkpoint, or a config that does not fit it; an unknown protocol, attribution or split.
    """
    start = time.monotonic()
    config, data = experiment.evaluation, experiment.data
    protocol = evaluation_protocol(experiment)
    source = open_source(data.name, config.split, data.directory)
    model = load_trained(experiment, workdir, source.num_classes)
    experiment = settle_chunk(experiment, model)
    keys = map_keys(model, config.attributions)
    model.target(config.target or None)
    graphdef, state = nnx.split(model)
    accuracy, untrained, counted = measure_accuracies(experiment, model, source)

    images = min(config.num_images or len(source), len(source))
    mesh = create_local_mesh()
    batch_size = -(-config.batch_size // mesh.size) * mesh.size
    fingerprint = take_fingerprint(digest(jax.device_get(state)), experiment, protocol, source)
    parts = Parts(evaluation_directory(workdir, protocol), fingerprint, images, batch_size)
    missing = parts.missing(jax.process_index(), jax.process_count())
    if missing:
        compute_parts(parts, missing, experiment, protocol, source, graphdef, state, keys, mesh, batch_size)
    multihost_utils.sync_global_devices("all parts are there")
    if jax.process_index():
        return None
    rows, cost = parts.merge()
    return Evaluation(
        protocol=protocol,
        rows=rows,
        gallery=collect_gallery(parts.pictures(), keys, source, config.num_figures),
        accuracy=accuracy,
        untrained_accuracy=untrained,
        accuracy_images=counted,
        cost=cost,
        seconds=time.monotonic() - start,
        parts=parts,
    )


def evaluation_directory(workdir: Path, protocol: Protocol) -> Path:
    """Return where an evaluation's files are."""
    return workdir / "evaluation" / protocol.name


def measure_accuracies(
    experiment: Experiment, model: Classifier, source: Source
) -> tuple[dict[str, float], dict[str, float], int]:
    """Return the accuracies of a network, those of its stream untrained, and of how many images they are."""
    config = experiment.evaluation
    graphdef, state = nnx.split(model)
    mesh = create_mesh()
    accuracy = SplitAccuracy(
        source, evaluation_resize(experiment), config.batch_size, graphdef, mesh, experiment.data.on_bad_record
    )
    untrained: dict[str, float] = {}
    if model.stream is not None:
        fresh = build_network(experiment, source.num_classes)
        fresh.backbone, fresh.classifier = model.backbone, model.classifier
        untrained = {"ca": accuracy.measure(replicate(nnx.state(fresh), mesh))["ca"]}
    return accuracy.measure(replicate(state, mesh)), untrained, accuracy.images


def compute_parts(
    parts: Parts,
    missing: list[range],
    experiment: Experiment,
    protocol: Protocol,
    source: Source,
    graphdef: nnx.GraphDef,
    state: nnx.State,
    keys: tuple[MapKey, ...],
    mesh: Mesh,
    batch_size: int,
) -> None:
    """Compute and keep the missing parts of this process."""
    config = experiment.evaluation
    resize = evaluation_resize(experiment)
    with_truth = has_truth(source[0])
    bad_records = BadRecords(source, experiment.data.on_bad_record, resize if with_truth else None)
    evaluate_batch = create_evaluate_batch(graphdef, config, protocol, mesh)
    state = replicate(state, mesh)
    own = parts.ranges[jax.process_index() :: jax.process_count()]
    done = sum(map(len, own)) - sum(map(len, missing))
    bar = tqdm(total=sum(map(len, own)), initial=done, desc="evaluate", unit="image", disable=jax.process_index() > 0)
    with bar:
        for part in missing:
            tables, cost, pictures = [], Cost(0, 0, 0, 0, 0), []
            for batch in evaluation_batches(
                source, resize, batch_size, part, bad_records=bad_records, with_truth=with_truth
            ):
                inputs = {name: values for name, values in batch.items() if name != "ids"}
                results = jax.device_get(evaluate_batch(state, inputs))
                tables.append(to_rows(keys, results, batch))
                cost += from_array(results["cost"])
                if part.start == 0:
                    pictures.append(choose_pictures(batch, results))
                bar.update(int(batch["valid"].sum()))
            drawn = {name: np.concatenate([p[name] for p in pictures]) for name in pictures[0]} if pictures else None
            parts.write(part, pa.concat_tables(tables), cost, drawn)


def choose_pictures(batch: dict[str, np.ndarray], results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what drawing needs of a batch's images, images first."""
    valid = batch["valid"]
    chosen = {name: batch[name][valid] for name in ("images", "labels", "ids")}
    explained = len(results["maps"])
    return chosen | {
        "maps": results["maps"].swapaxes(0, 1)[valid],
        "predicted": results["predicted_class"][:explained].T[valid],
    }


def collect_gallery(pictures: dict[str, np.ndarray], keys: tuple[MapKey, ...], source: Source, count: int) -> Gallery:
    """Return the first `count` images of the evaluation with their maps, for drawing."""
    first: dict[str, Any] = {name: values[:count] for name, values in pictures.items()}
    titles = []
    for label, predicted in zip(first["labels"], first["predicted"], strict=True):
        found = {pooling: source.class_names[index] for (_, pooling), index in zip(keys, predicted)}
        said = ", ".join(f"{pooling.upper()}: {name}" for pooling, name in found.items())
        titles.append(f"{source.class_names[label]} ({said})")
    return Gallery(
        images=first["images"],
        ids=tuple(map(str, first["ids"])),
        titles=tuple(titles),
        maps=dict(zip(keys, first["maps"].swapaxes(0, 1))),
    )
