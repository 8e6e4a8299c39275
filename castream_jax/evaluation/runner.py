"""Runs an evaluation from a trained network to its rows.

    parts of the rows and of the accuracies, batch by batch -> all of them

Many processes share the parts, and wait for each other at the end of them only.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
from flax import nnx

from castream_jax.binding.ledger import NOTHING, Cost, from_array
from castream_jax.compute.sharding import first_process, replicate, wait_for_all
from castream_jax.config import Experiment
from castream_jax.data.bad_records import BadRecords, describe_truth, says_where_objects_are
from castream_jax.data.explained_classes import ExplainedClasses
from castream_jax.data.given_maps import check_given_maps
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.data.pipeline import MET, Batch, count_pictures, evaluation_batches
from castream_jax.data.source import Source
from castream_jax.evaluation.accuracy import Accuracy, count_right, open_parts
from castream_jax.evaluation.batch import create_evaluate_batch, to_rows
from castream_jax.evaluation.partners import find_partners
from castream_jax.evaluation.resumable_parts import Measured, RowParts, parts_directory, take_fingerprint
from castream_jax.evaluation.row_images import IMAGE_ID
from castream_jax.evaluation.settled import settle_rows
from castream_jax.evaluation.shown_images import ShownImages, show_images
from castream_jax.experiment.preprocessing import with_decoding
from castream_jax.experiment.record import has_record, write_record
from castream_jax.experiment.resolved import Resolved, resolve_trained
from castream_jax.metrics.protocol import Protocol
from castream_jax.models.cascade import draw_again
from castream_jax.models.scores import describe_score
from castream_jax.storage.array_trees import digest
from castream_jax.storage.locking import alone_in
from castream_jax.wording import is_null

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    protocol: Protocol
    rows: pa.Table
    class_names: tuple[str, ...]
    accuracy: Accuracy
    """Over the whole split, or the images of the rows."""
    pictures: PictureCounts
    """What was met in the images of the rows."""
    settings: dict[str, str | int | float]
    """What rows depend on beside protocol, network and data, by name."""
    cost: Cost
    seconds: float
    """Of this run; an earlier one that was stopped had its own."""
    parts: Path
    """The directory of what all this came from, to be removed once it is written elsewhere."""
    explain: Callable[[Sequence[int]], ShownImages]
    """From places among the images of the rows to these images and their maps."""
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
    resolved = resolve_trained(experiment, workdir)
    source, protocol = resolved.source, resolved.protocol
    given = check_given_maps(resolved.given, source, range(resolved.images)) if resolved.given else ""
    arrays = digest(jax.device_get(nnx.state(resolved.model)))
    fingerprint = take_fingerprint(arrays, resolved, first_process(resolved.mesh.size), given)
    place, evaluation = evaluation_directory(workdir, protocol), None
    with alone_in(place, "evaluating") if not jax.process_index() else nullcontext():
        if not has_record(workdir):  # of a network that comes trained
            write_record(experiment, workdir)
        directory = parts_directory(place, fingerprint)
        row_parts = RowParts(directory, resolved.images, resolved.batch_size)
        accuracy_parts = open_parts(directory, resolved)
        program = Program(resolved)
        compute_rows(row_parts, program, resolved)
        count_right(accuracy_parts, resolved)  # last: of a large split it may take longer than few maps
        wait_for_all("all parts are there")
        if not jax.process_index():
            measured = row_parts.merge()
            accuracy = accuracy_parts.merge()
            evaluation = Evaluation(
                protocol=with_decoding(protocol, resolved.experiment.data, measured.pictures),
                rows=settle_rows(measured.rows, resolved.plan.metrics),
                class_names=source.class_names,
                accuracy=accuracy,
                pictures=measured.pictures,
                settings=describe_settings(resolved, arrays),
                cost=measured.cost + accuracy.cost,
                seconds=time.monotonic() - start,
                parts=directory,
                explain=lambda places: program.show(places, measured.indices),
                warnings=warn(resolved, accuracy),
            )
    return evaluation


def warn(resolved: Resolved, accuracy: Accuracy) -> tuple[str, ...]:
    """Say what makes the numbers doubtful, and return it in sentences."""
    said = (
        *map(word_note, resolved.model.notes),
        accuracy.describe_chance(resolved.source.num_classes),
        accuracy.describe_classes(resolved.split),
    )
    warnings = tuple(filter(None, said))
    for text in warnings:
        log.warning("%s", text)
    return warnings


def evaluation_directory(workdir: Path, protocol: Protocol) -> Path:
    """Return where an evaluation's files are."""
    return workdir / "evaluation" / protocol.name


def word_note(note: str) -> str:
    """Return what is to be known of a network's weights as a sentence."""
    return f"{note[0].upper()}{note[1:]}."


def describe_settings(resolved: Resolved, arrays: str) -> dict[str, str | int | float]:
    """Return by name what numbers depend on beside protocol, network and data, the last three by rounding only."""
    config, data = resolved.experiment.evaluation, resolved.experiment.data
    truth = describe_truth(resolved.source) if any(metric.needs_truth for metric in resolved.plan.metrics) else ""
    return {
        "image_size": data.image_size,
        "mean": " ".join(f"{value:g}" for value in data.mean),
        "std": " ".join(f"{value:g}" for value in data.std),
        **({"truth": truth} if truth else {}),
        "target": resolved.plan.target,
        "score": describe_score(resolved.model.score),
        "dtype": resolved.experiment.model.dtype,
        "score_cam_tolerance": config.score_cam_tolerance,
        "score_cam_passes": config.score_cam_passes,
        "score_cam_error": config.score_cam_error,
        "arrays": arrays[:12],
        "chunk": config.chunk,
        "batch_size": resolved.batch_size,
        "device": jax.devices()[0].device_kind,
    }


class Program:
    """The compiled program of an evaluation, bound to its network and devices."""

    def __init__(self, resolved: Resolved):
        graphdef, state = nnx.split(resolved.model)
        self._resolved = resolved
        self._with_truth = says_where_objects_are(resolved.source)
        self._evaluate_batch = create_evaluate_batch(graphdef, resolved.plan, resolved.mesh)
        metrics = resolved.plan.metrics
        fresh = draw_again(resolved.model) if any(metric.needs_fresh for metric in metrics) else None
        self._states = replicate((state, fresh), resolved.mesh)
        count = max((metric.needs_partners for metric in metrics), default=0)
        self._partners = find_partners(resolved, count) if count else None

    def watch(self, source: Source) -> BadRecords:
        """Return what watches over the records of a source that cannot be read."""
        resize = self._resolved.resize if self._with_truth else None
        return BadRecords(source, self._resolved.experiment.data.on_bad_record, resize)

    def measure(
        self, source: Source, images: range | None = None, bad_records: BadRecords | None = None
    ) -> Iterator[tuple[Batch, dict[str, np.ndarray]]]:
        """Yield each batch of a source, or of a range of it, with all that is measured of it."""
        given = self._resolved.given
        for batch in evaluation_batches(
            source,
            self._resolved.resize,
            self._resolved.batch_size,
            images,
            bad_records=bad_records or self.watch(source),
            with_truth=self._with_truth,
        ):
            inputs = {name: values for name, values in batch.items() if name not in ("ids", *MET)}
            if given:
                batch["given"] = inputs[given.name] = given.batch(batch["ids"])
            if self._partners:
                inputs["partners"] = self._partners.choose(batch["labels"], batch["indices"])
            yield batch, jax.device_get(self._evaluate_batch(self._states, inputs))

    def show(self, places: Sequence[int], indices: Sequence[int]) -> ShownImages:
        """Return images by their places among those of the rows, whose places in the source are `indices`."""
        keys = [key for key in self._resolved.keys if not is_null(key[0])]
        return show_images(self.measure, self._resolved.source, places, indices, keys)


def compute_rows(parts: RowParts, program: Program, resolved: Resolved) -> None:
    """Compute and keep the rows of this process's parts that are missing."""
    missing = parts.missing()
    if not missing:
        return
    source = resolved.source
    bad_records = program.watch(source)
    log.info("compiling the program of a batch: a minute for a large network, and kept for the next run.")
    with parts.progress(missing, "evaluate") as bar:
        for part in missing:
            tables, cost, indices, pictures = [], NOTHING, list[int](), PictureCounts()
            for batch, results in program.measure(source, part, bad_records):
                records = source.records
                if isinstance(records, ExplainedClasses):
                    batch[IMAGE_ID] = records.name_pictures(batch["ids"], batch["labels"])
                tables.append(to_rows(resolved.plan, resolved.keys, results, batch))
                cost += from_array(results["cost"])
                indices += batch["indices"][batch["valid"]].tolist()
                count = records.count_pictures if isinstance(records, ExplainedClasses) else count_pictures
                pictures += count(batch)
                bar.update(int(batch["valid"].sum()))
            parts.write(part, Measured(pa.concat_tables(tables), cost, indices, pictures))
