"""An evaluation in parts: the rows of a range of images each, on disk as soon as they are there.

A part is computed as if it were alone, so a run that was killed at any moment goes on with the parts that are missing,
on any number of processes of as many devices, and the merged rows are the same bytes. Part i belongs to process i
modulo their number.
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from castream_jax.config import Experiment
from castream_jax.data.source import Source
from castream_jax.evaluation.cost import Cost
from castream_jax.evaluation.rows import read_rows, write_rows
from castream_jax.metrics.protocol import Protocol
from castream_jax.replacement import replacing
from castream_jax.version import collect_versions

IMAGES = 64
"""Images in a part, at least: what a kill can cost."""


class Parts:
    """The parts of one evaluation, in a directory that no other evaluation uses."""

    def __init__(self, place: Path, fingerprint: str, images: int, batch_size: int):
        self.directory = place / f"parts-{fingerprint[:12]}"
        step = -(-IMAGES // batch_size) * batch_size
        self.ranges = [range(first, min(first + step, images)) for first in range(0, images, step)]

    def path(self, images: range) -> Path:
        """Return where the rows of some images are."""
        return self.directory / f"{images.start:08d}-{images.stop:08d}.parquet"

    def missing(self, process: int, processes: int) -> list[range]:
        """Return the parts of a process that are still to be computed."""
        return [part for part in self.ranges[process::processes] if not self.path(part).exists()]

    def write(self, images: range, rows: pa.Table, cost: Cost, indices: list[int]) -> None:
        """Keep a part; its rows come last, so that a part that is there is whole.

        Args:
          images: the part.
          rows: of those of its images that could be read, and `indices` the places of these in the dataset.
          cost: what it took.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with replacing(self.path(images).with_suffix(".json")) as path:
            path.write_text(json.dumps({"cost": asdict(cost), "indices": indices}))
        write_rows(rows, self.path(images))

    def merge(self) -> tuple[pa.Table, Cost, list[int]]:
        """Return the rows of all parts in order, what they cost, and the place in the dataset of each image."""
        rows = pa.concat_tables(read_rows(self.path(part)) for part in self.ranges)
        kept = [json.loads(self.path(part).with_suffix(".json").read_text()) for part in self.ranges]
        costs = [Cost(**found["cost"]) for found in kept]
        return rows, sum(costs[1:], start=costs[0]), [index for found in kept for index in found["indices"]]

    def remove(self) -> None:
        """Remove all parts: what they hold is kept elsewhere."""
        shutil.rmtree(self.directory, ignore_errors=True)


def take_fingerprint(arrays: str, experiment: Experiment, protocol: Protocol, source: Source, devices: int) -> str:
    """Return the sha256 over all that rows depend on: network, data, protocol, settings and versions.

    Args:
      arrays: the digest of the network's arrays.
      experiment: its settings, but how many images there are to measure and to draw.
      protocol: the choices that the numbers depend on.
      source: the data.
      devices: of a process; how many images each computes at once shows in the rounding.
    """
    settings: dict[str, Any] = asdict(experiment.evaluation)
    for name in ("num_images", "num_figures"):
        del settings[name]
    said = {
        "arrays": arrays,
        "model": asdict(experiment.model),
        "evaluation": settings,
        "protocol": asdict(protocol),
        "image_size": experiment.data.image_size,
        "dataset": [source.name, source.split, len(source), source.class_names],
        "devices": devices,
        "part": ["rows", "cost", "indices"],  # what one holds: those of an older layout are not these
        "versions": collect_versions(("jax", "jaxlib")),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
