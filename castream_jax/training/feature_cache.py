"""Features of augmented views that are computed once: nothing runs backward through the trunk, so they never change.

    <workdir>/features/
      view-000/          one augmented view of every image of the training split, in stored order
        stage4.npy       one file for each tap, float16 [N h w C]
        labels.npy       int32 [N], or uint8 [N K] of several labels
        made_of.json     what it was computed from

A view takes its place when it is whole, so that a run that was stopped goes on with the next one. One that was computed
from something else is computed again.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import grain.python as grain
import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array
from tqdm import tqdm

from castream_jax.compute.sharding import round_up, shard_batch, split_images
from castream_jax.config import DataConfig
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pipeline import augmented_view
from castream_jax.data.source import Source
from castream_jax.errors import InputError, RunError, Stopped
from castream_jax.models.backbone import Backbone
from castream_jax.models.classifier import Classifier
from castream_jax.storage.array_trees import digest
from castream_jax.training.stopping import StopRequest

log = logging.getLogger(__name__)

DTYPE = np.dtype(np.float16)
"""Of the features on disk; it moves the GAP logits of EfficientNet-Lite0 by 2e-5 of the largest."""
MADE_OF, LABELS = "made_of.json", "labels"
AUGMENTATION = ("image_size", "crop_scale", "flip", "brightness", "orientation", "transparency")
"""Settings of `data` that a view depends on."""


class FeatureCache:
    """The features of some augmented views of a training split."""

    def __init__(self, directory: Path, model: Classifier, source: Source, data: DataConfig, seed: int, mesh: Mesh):
        """Say what the features are those of; nothing is computed yet.

        Args:
          directory: where they are kept.
          model: whose poolings read them; its backbone stays as it is, on every device of the mesh.
          source, data, seed: the images, and how they are augmented.
          mesh: of the devices that compute.
        """
        self.directory, self.source, self.data, self.seed, self.mesh = directory, source, data, seed, mesh
        graphdef, self.trunk = nnx.split(model.backbone)
        self.normalisation, taps = model.normalisation, model.taps

        def read(trunk: nnx.State, images: Array) -> dict[str, Array]:
            backbone: Backbone = nnx.merge(graphdef, trunk)
            features = backbone.features(self.normalisation(images))
            return {tap: features[tap] for tap in taps}

        def compute(trunk: nnx.State, images: Array) -> dict[str, Array]:
            return {tap: values.astype(DTYPE) for tap, values in read(trunk, images).items()}

        self.compute = jax.jit(split_images(compute, mesh))
        images = jax.ShapeDtypeStruct((1, data.image_size, data.image_size, 3), np.uint8)
        found = jax.eval_shape(read, self.trunk, images)
        self.shapes = {tap: values.shape[1:] for tap, values in found.items()}
        self.computed_in = sorted({values.dtype.name for values in found.values()})

    def fill(self, views: int, batch_size: int, bad_records: BadRecords, stop: StopRequest) -> None:
        """Compute the views that are not there.

        Args:
          views: how many there are to be.
          batch_size: images that are computed at once.
          bad_records: told of each record that could not be read.
          stop: asked after each batch.

        Raises:
          InputError: the disk does not hold them.
          RunError: a feature is no number, or too large for float16.
          Stopped: the run was asked to stop; the views that are whole are kept.
        """
        made_of = self.describe()
        missing = [view for view in range(views) if self.read_made_of(view) != made_of]
        if not missing:
            return
        self.check_room(len(missing))
        log.info(
            "features: %d views of %s images are computed once, for %s, %.3g GB",
            *(views, f"{len(self.source):,}", self.directory, views * self.count_bytes() / 1e9),
        )
        with tqdm(total=len(missing) * len(self.source), desc="features", unit="image") as bar:
            for view in missing:
                self.write_view(view, made_of, self.compute_view(view, batch_size, bad_records, stop, bar))

    def batches(self, views: int, batch_size: int, first_step: int = 0) -> Generator[dict[str, Any]]:
        """Yield training batches of all views' images, shuffled, without end.

        Args:
          views: that are there.
          batch_size: images in a batch.
          first_step: the step whose batch comes first; order is a function of seed and step alone.

        Yields:
          `features`, float16 [B h w C] by tap, and `labels`, as of `training_batches`.
        """
        kept = [self.open_view(view) for view in range(views)]
        images = len(self.source)
        order = grain.MapDataset.range(views * images).seed(self.seed).shuffle().repeat()
        order = order.batch(batch_size, drop_remainder=True)[first_step:]
        for places in order:
            view, image = np.divmod(places, images)
            rows = {
                name: np.stack([kept[v][name][i] for v, i in zip(view, image, strict=True)])
                for name in (*self.shapes, LABELS)
            }
            yield {LABELS: rows.pop(LABELS), "features": rows}

    def describe(self) -> dict[str, Any]:
        """Return what a view depends on but for its number, as it is written beside it."""
        described = {
            "trunk (sha256)": digest(jax.device_get(self.trunk)),
            "normalisation": repr(self.normalisation),
            "images (sha256)": self.source.digest(),
            "augmentation": {name: getattr(self.data, name) for name in AUGMENTATION},
            "seed": self.seed,
            "features": {tap: list(shape) for tap, shape in self.shapes.items()},
            "dtype": DTYPE.name,
            **({} if self.computed_in == ["float32"] else {"computed in": self.computed_in}),
        }
        return dict(json.loads(json.dumps(described)))

    def count_bytes(self) -> int:
        """Return what one view takes on disk."""
        return len(self.source) * sum(int(np.prod(shape)) for shape in self.shapes.values()) * DTYPE.itemsize

    def check_room(self, views: int) -> None:
        """Raise `InputError` if so many views do not fit on the disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        needed, free = views * self.count_bytes(), shutil.disk_usage(self.directory).free
        if needed > free:
            raise InputError(
                f"stream.cached_views: {views} views of {len(self.source):,} images take {needed / 1e9:.3g} GB, and "
                f"{self.directory} has {free / 1e9:.3g} GB left: ask for fewer, or 0 to compute features in each step."
            )

    def compute_view(
        self, view: int, batch_size: int, bad_records: BadRecords, stop: StopRequest, bar: Any
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the arrays of one view, batch by batch; the devices compute a batch while the one before is written."""
        size = round_up(batch_size, self.mesh)
        before: dict[str, Any] | None = None
        for batch in augmented_view(self.source, self.data, size, self.seed, view, bad_records):
            images, labels = batch["images"], batch["labels"]
            padded = np.concatenate([images, np.zeros((size - len(images), *images.shape[1:]), images.dtype)])
            running = self.compute(self.trunk, shard_batch({"images": padded}, self.mesh)["images"])
            if before is not None:
                yield self.fetch(before)
            before = {LABELS: labels, "features": running}
            bar.update(len(labels))
            if stop.reached():
                raise Stopped(
                    f"stopped while features were computed; views that are whole are kept in {self.directory}. Run the "
                    "same command to go on."
                )
        if before is not None:
            yield self.fetch(before)

    def fetch(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return a batch's arrays on the host, without padding, or raise `RunError` if one is not finite."""
        labels = batch[LABELS]
        arrays = {tap: np.asarray(array)[: len(labels)] for tap, array in batch["features"].items()}
        for tap, array in arrays.items():
            if not np.isfinite(array).all():
                raise RunError(
                    f"feature map {tap} holds what float16 cannot: train with --config.stream.cached_views=0, which "
                    "computes features in float32 in each step."
                )
        return arrays | {LABELS: labels}

    def place(self, view: int) -> Path:
        """Return where a view is kept."""
        return self.directory / f"view-{view:03d}"

    def write_view(self, view: int, made_of: dict[str, Any], batches: Iterator[dict[str, np.ndarray]]) -> None:
        """Write a view's arrays, and what they are made of, all at once."""
        final = self.place(view)
        unfinished = final.with_name(f".{final.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        several = self.source.has_several_labels
        labels: tuple[np.dtype[Any], tuple[int, ...]] = (
            (np.dtype(np.uint8), (self.source.num_classes,)) if several else (np.dtype(np.int32), ())
        )
        layout = {tap: (DTYPE, shape) for tap, shape in self.shapes.items()} | {LABELS: labels}
        with contextlib.ExitStack() as stack:  # no memory map: on a full disk it ends the process, and this is an error
            files = {name: stack.enter_context(open(unfinished / f"{name}.npy", "wb")) for name in layout}
            for name, (dtype, shape) in layout.items():
                described = np.lib.format.dtype_to_descr(dtype)
                header = {"descr": described, "fortran_order": False, "shape": (len(self.source), *shape)}
                np.lib.format.write_array_header_1_0(files[name], header)
            for arrays in batches:
                for name, array in arrays.items():
                    files[name].write(array.astype(layout[name][0], copy=False).tobytes())
        (unfinished / MADE_OF).write_text(json.dumps(made_of, indent=2) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        unfinished.rename(final)

    def read_made_of(self, view: int) -> dict[str, Any]:
        """Return what a view says it is computed from; empty if it is not there."""
        try:
            return dict(json.loads((self.place(view) / MADE_OF).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def open_view(self, view: int) -> dict[str, np.ndarray]:
        """Return a view's arrays, which are read from the disk as they are used.

        Raises:
          InputError: a file is not whole.
        """
        arrays = {}
        for name in (*self.shapes, LABELS):
            path = self.place(view) / f"{name}.npy"
            try:
                arrays[name] = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{path} is damaged ({error}): remove {path.parent}, and it is computed again."
                ) from error
        return arrays
