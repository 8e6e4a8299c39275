"""An evaluation in parts: the results of a range of images each, on disk as soon as they are there.

A part is computed as if it were alone, so a run that was killed at any moment goes on with the parts that are missing,
on any number of processes of as many devices, and the merged rows are the same bytes. Part i belongs to process i
modulo their number.
"""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
import pyarrow as pa
from tqdm import tqdm

from castream_jax.binding.ledger import Cost
from castream_jax.data.pictures.decoding import PictureCounts
from castream_jax.errors import InputError
from castream_jax.evaluation.rows import read_rows, write_rows
from castream_jax.experiment.own_code import digest_own_code
from castream_jax.experiment.resolved import Resolved
from castream_jax.models.scores import describe_score
from castream_jax.storage.replacement import replacing
from castream_jax.version import collect_versions

log = logging.getLogger(__name__)
Result = TypeVar("Result")

IMAGES = 64
"""Images in a part of the rows, at least: what a kill can cost."""


class Parts(ABC, Generic[Result]):
    """The parts of one kind of results, in a directory that no other evaluation uses."""

    name: str
    """Of a part's file, the places of its images to be filled in."""

    def __init__(self, directory: Path, images: int, least: int, batch_size: int):
        """Cut `images` images into parts of whole batches, of `least` images or more."""
        self.directory = directory
        step = -(-least // batch_size) * batch_size
        self.ranges = [range(first, min(first + step, images)) for first in range(0, images, step)]

    @abstractmethod
    def read(self, images: range) -> Result:
        """Return what is kept of a part."""

    def path(self, images: range) -> Path:
        """Return the file of a part."""
        return self.directory / self.name.format(images)

    def own(self) -> list[range]:
        """Return the parts of this process."""
        return self.ranges[jax.process_index() :: jax.process_count()]

    def missing(self) -> list[range]:
        """Return those of them that are still to be computed; one that is there but cannot be read is reported."""
        return [part for part in self.own() if not self._is_whole(part)]

    def progress(self, missing: list[range], doing: str) -> tqdm:
        """Return the progress bar of this process, some parts of which are missing; the first one's is seen."""
        total = sum(map(len, self.own()))
        done = total - sum(map(len, missing))
        return tqdm(total=total, initial=done, desc=doing, unit="image", disable=jax.process_index() > 0)

    def _is_whole(self, part: range) -> bool:
        if not self.path(part).exists():
            return False
        try:
            self.read(part)
        except (InputError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s) and is computed again.", self.path(part), error)
            return False
        return True


@dataclass(frozen=True)
class Measured:
    """The rows of some images."""

    rows: pa.Table
    cost: Cost
    indices: list[int]
    """The places in the dataset of the images that could be read."""
    pictures: PictureCounts
    """What was met in them."""


class RowParts(Parts[Measured]):
    """The rows, with what they cost and are of."""

    name = "{0.start:08d}-{0.stop:08d}.parquet"

    def __init__(self, directory: Path, images: int, batch_size: int):
        super().__init__(directory, images, IMAGES, batch_size)

    def write(self, images: range, measured: Measured) -> None:
        """Keep a part; its rows come last, so that a part that is there is whole."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with replacing(self.path(images).with_suffix(".json")) as path:
            path.write_text(
                json.dumps(
                    {
                        "cost": asdict(measured.cost),
                        "indices": measured.indices,
                        "pictures": asdict(measured.pictures),
                    }
                )
            )
        write_rows(measured.rows, self.path(images))

    def read(self, images: range) -> Measured:
        """Return what `write` kept."""
        kept = json.loads(self.path(images).with_suffix(".json").read_text())
        pictures = PictureCounts(**kept["pictures"])
        return Measured(read_rows(self.path(images)), Cost(**kept["cost"]), kept["indices"], pictures)

    def merge(self) -> Measured:
        """Return all parts as one, in order."""
        parts = [self.read(part) for part in self.ranges]
        return Measured(
            rows=pa.concat_tables(part.rows for part in parts),
            cost=sum((part.cost for part in parts[1:]), start=parts[0].cost),
            indices=[index for part in parts for index in part.indices],
            pictures=sum((part.pictures for part in parts), start=PictureCounts()),
        )


def parts_directory(place: Path, fingerprint: str) -> Path:
    """Return where the parts of an evaluation are; those of another one are reported and left there."""
    directory = place / f"parts-{fingerprint[:12]}"
    others = sorted(set(place.glob("parts-*")) - {directory})
    if others and not jax.process_index():
        log.warning(
            "%s: of an evaluation that was stopped, with other settings, data or weights. This one does not go on with "
            "it, and leaves it there.",
            ", ".join(map(str, others)),
        )
    return directory


def take_fingerprint(arrays: str, resolved: Resolved, devices: int, given: str) -> str:
    """Return the sha256 over all that rows depend on: network, data, protocol, settings and versions.

    Args:
      arrays: the digest of the network's arrays.
      resolved: its settings, but how many images there are to measure, to count and to draw.
      devices: of a process; how many images each computes at once shows in the rounding.
      given: the digest of the maps from elsewhere.
    """
    experiment, plan = resolved.experiment, resolved.plan
    settings: dict[str, Any] = asdict(experiment.evaluation)
    for name in ("num_images", "num_figures", "accuracy_of"):
        del settings[name]
    said = {
        "arrays": arrays,
        "model": asdict(experiment.model),
        "score": describe_score(resolved.model.score),
        "evaluation": settings,
        "protocol": asdict(resolved.protocol),
        "methods": [method.hash for method in plan.methods],
        "metrics": [[metric.symbol, metric.hash(resolved.protocol)] for metric in plan.metrics],
        "code": digest_own_code(experiment),
        "maps": given,
        "image_size": experiment.data.image_size,
        "normalisation": [experiment.data.mean, experiment.data.std],
        "data": [resolved.source.digest(), asdict(resolved.source.decoding), experiment.data.on_bad_record],
        "devices": [devices, jax.devices()[0].device_kind],
        "part": [
            "rows",
            "cost",
            "indices",
            "pictures",
            "top5",
        ],  # what one holds: those of an older layout are not these
        "versions": collect_versions(("jax", "jaxlib", "pillow")),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
