"""Runs an evaluation from a trained network to its rows.

    parts of the accuracies and of the rows, batch by batch -> all of them -> maps of the images to look at

Many processes share the parts, and wait for each other at the end of them only.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from castream_jax.binding.chunk import settle_chunk
from castream_jax.binding.ledger import NOTHING, Cost, from_array
from castream_jax.binding.program import Plan
from castream_jax.compute.sharding import create_local_mesh, first_process, replicate, round_up
from castream_jax.config import Experiment
from castream_jax.data.bad_records import BadRecords, says_where_objects_are
from castream_jax.data.class_names import check_class_names
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pipeline import MET, Batch, count_pictures, evaluation_batches
from castream_jax.data.source import Source, open_split
from castream_jax.evaluation.accuracy import Accuracy, AccuracyParts, count_right
from castream_jax.evaluation.batch import create_evaluate_batch, to_rows
from castream_jax.evaluation.given_maps import GivenMaps, check_given_maps, open_given_maps
from castream_jax.evaluation.resumable_parts import Measured, RowParts, parts_directory, take_fingerprint
from castream_jax.evaluation.shown_images import explain_chosen
from castream_jax.experiment.loading import load_trained
from castream_jax.experiment.plan import create_plan
from castream_jax.experiment.preprocessing import (
    chosen_protocol,
    evaluation_protocol,
    network_resize,
    settled,
    with_decoding,
)
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.network import Network
from castream_jax.models.scores import describe_score
from castream_jax.report.selection import Selection, choose_images
from castream_jax.storage.array_trees import digest
from castream_jax.storage.locking import alone_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    protocol: Protocol
    rows: pa.Table
    selection: Selection
    """The images that the report shows."""
    accuracy: Accuracy
    """Over the whole split."""
    pictures: PictureCounts
    """What was met in the images of the rows."""
    settings: dict[str, str | int | float]
    """What rows depend on beside protocol, network and data, by name."""
    cost: Cost
    seconds: float
    """Of this run; an earlier one that was stopped had its own."""
    parts: Path
    """The directory of what all this came from, to be removed once it is written elsewhere."""
    warnings: tuple[str, ...] = ()
    """What makes the numbers doubtful, in sentences."""


def evaluate(experiment: Experiment, workdir: Path) -> Evaluation | None:
    """Measure the network that training left in `workdir`: accuracies, and one row for each image and map.

    A run that was stopped goes on with what it had under `evaluation/<protocol>/`. Of many processes, the first one
    returns the evaluation, the others None.

    Raises:
      InputError: no checkpoint, or a config that does not fit it; an unknown protocol, attribution or split.
    """
    if jax.config.values["jax_debug_nans"]:
        log.warning("JAX_DEBUG_NANS is left aside here: what an image does not have, as a box, is NaN in its row.")
        with jax.debug_nans(False):
            return evaluate(experiment, workdir)
    start = time.monotonic()
    config, data = experiment.evaluation, experiment.data
    chosen_protocol(experiment)  # a mistake is said before anything is opened
    source = open_split(data, config.split, with_boxes=True)
    model = load_trained(experiment, workdir, source.num_classes)
    check_class_names(model.class_names, source.class_names, f"the network in {workdir}")
    protocol = evaluation_protocol(experiment, model)
    experiment = settle_chunk(settled(experiment, model), model)
    images = min(config.num_images or len(source), len(source))
    given = open_given_maps(config.maps) if config.maps else None
    plan = create_plan(experiment, model, (given.name,) if given else ())
    keys = plan.keys(model.poolings())
    maps_digest = check_given_maps(given, source, range(images)) if given else ""
    mesh = create_local_mesh()
    batch_size = round_up(config.batch_size, mesh)
    arrays, devices = digest(jax.device_get(nnx.state(model))), first_process(mesh.size)
    also = {"score": describe_score(model.score), "maps": maps_digest}
    fingerprint = take_fingerprint(arrays, experiment, plan, source, devices, also)
    place, evaluation = evaluation_directory(workdir, protocol), None
    with alone_in(place, "evaluating") if not jax.process_index() else nullcontext():
        directory = parts_directory(place, fingerprint)
        row_parts = RowParts(directory, images, batch_size)
        accuracy_parts = AccuracyParts(directory, len(source), batch_size)
        count_right(accuracy_parts, experiment, model, source)
        program = Program(experiment, plan, source, model, mesh, batch_size, given)
        compute_rows(row_parts, program, source)
        multihost_utils.sync_global_devices("all parts are there")
        if not jax.process_index():
            measured = row_parts.merge()
            accuracy = accuracy_parts.merge()
            said = (*map(word_note, model.notes), accuracy.describe_chance(source.num_classes))
            warnings = tuple(filter(None, said))
            for text in warnings:
                log.warning("%s", text)
            categories = choose_images(measured.rows, config.num_figures)
            evaluation = Evaluation(
                protocol=with_decoding(protocol, experiment.data, measured.pictures),
                rows=measured.rows,
                selection=explain_chosen(program.measure, source, categories, measured.rows, measured.indices, keys),
                accuracy=accuracy,
                pictures=measured.pictures,
                settings=describe_settings(experiment, model, arrays, plan.target, batch_size),
                cost=measured.cost + accuracy.cost,
                seconds=time.monotonic() - start,
                parts=directory,
                warnings=warnings,
            )
    multihost_utils.sync_global_devices("maps to look at are there")  # a process that ends early waits 5 minutes only
    return evaluation


def evaluation_directory(workdir: Path, protocol: Protocol) -> Path:
    """Return where an evaluation's files are."""
    return workdir / "evaluation" / protocol.name


def word_note(note: str) -> str:
    """Return what is to be known of a network's weights as a sentence."""
    return f"{note[0].upper()}{note[1:]}."


def describe_settings(
    experiment: Experiment, model: Network, arrays: str, target: str, batch_size: int
) -> dict[str, str | int | float]:
    """Return by name what numbers depend on beside protocol, network and data, the last three by rounding only."""
    config = experiment.evaluation
    return {
        "image_size": experiment.data.image_size,
        "mean": " ".join(f"{value:g}" for value in experiment.data.mean),
        "std": " ".join(f"{value:g}" for value in experiment.data.std),
        "target": target,
        "score": describe_score(model.score),
        "dtype": experiment.model.dtype,
        "score_cam_tolerance": config.score_cam_tolerance,
        "arrays": arrays[:12],
        "chunk": config.chunk,
        "batch_size": batch_size,
        "device": jax.devices()[0].device_kind,
    }


class Program:
    """The compiled program of an evaluation, bound to a network and a device mesh."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Plan,
        source: Source,
        model: Network,
        mesh: Mesh,
        batch_size: int,
        given: GivenMaps | None = None,
    ):
        graphdef, state = nnx.split(model)
        self.plan, self.keys = plan, plan.keys(model.poolings())
        self._resize = network_resize(model)
        self._with_truth = says_where_objects_are(source)
        self._on_bad_record = experiment.data.on_bad_record
        self._batch_size = batch_size
        self._given = given
        self._evaluate_batch = create_evaluate_batch(graphdef, plan, mesh)
        self._state = replicate(state, mesh)

    def watch(self, source: Source) -> BadRecords:
        """Return what watches over the records of a source that cannot be read."""
        return BadRecords(source, self._on_bad_record, self._resize if self._with_truth else None)

    def measure(
        self, source: Source, images: range | None = None, bad_records: BadRecords | None = None
    ) -> Iterator[tuple[Batch, dict[str, np.ndarray]]]:
        """Yield each batch of a source, or of a range of it, with all that is measured of it."""
        for batch in evaluation_batches(
            source,
            self._resize,
            self._batch_size,
            images,
            bad_records=bad_records or self.watch(source),
            with_truth=self._with_truth,
        ):
            inputs = {name: values for name, values in batch.items() if name not in ("ids", *MET)}
            if self._given:
                batch["given"] = inputs[self._given.name] = self._given.batch(batch["ids"])
            yield batch, jax.device_get(self._evaluate_batch(self._state, inputs))


def compute_rows(parts: RowParts, program: Program, source: Source) -> None:
    """Compute and keep the rows of this process's parts that are missing."""
    missing = parts.missing()
    if not missing:
        return
    bad_records = program.watch(source)
    with parts.progress(missing, "evaluate") as bar:
        for part in missing:
            tables, cost, indices, pictures = [], NOTHING, list[int](), PictureCounts()
            for batch, results in program.measure(source, part, bad_records):
                tables.append(to_rows(program.plan, program.keys, results, batch))
                cost += from_array(results["cost"])
                indices += batch["indices"][batch["valid"]].tolist()
                pictures += count_pictures(batch)
                bar.update(int(batch["valid"].sum()))
            parts.write(part, Measured(pa.concat_tables(tables), cost, indices, pictures))
