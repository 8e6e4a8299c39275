"""One stage of training: from its newest checkpoint to its end, whatever happens in between."""

import collections
import errno
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh

from castream_jax.compute.sharding import AHEAD, add_over_processes, first_process, replicate
from castream_jax.config import Experiment, StageConfig
from castream_jax.data.bad_records import BadRecords
from castream_jax.data.pipeline import training_batches
from castream_jax.data.source import Source, open_split
from castream_jax.errors import InputError, RunError, Stopped
from castream_jax.experiment.loading import checkpoint_directory, last_stage
from castream_jax.experiment.preprocessing import network_resize
from castream_jax.experiment.split_accuracy import SplitAccuracy
from castream_jax.hook import Hook
from castream_jax.models.classifier import Classifier
from castream_jax.models.description import describe_network
from castream_jax.storage.array_trees import digest
from castream_jax.storage.checkpoints import Checkpoints
from castream_jax.training import summary
from castream_jax.training.feature_cache import FeatureCache
from castream_jax.training.feed import Feed
from castream_jax.training.log import NotFinite, TrainingLog
from castream_jax.training.map_pictures import MapPictures
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.resume import check_same_run, describe_run
from castream_jax.training.state import as_trees, create_state, from_trees, model_state, split_state
from castream_jax.training.step import create_train_step, list_trained, name_metric
from castream_jax.training.stopping import StopRequest

log = logging.getLogger(__name__)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Stage:
    """One stage of training a network: `train` starts or resumes it, and ends it.

    The order of a step, which a resumed run relies on:

        1. the step is computed from the state and the batch of that number
        2. its metrics are logged, and the run ends if they are not finite
        3. the state is saved, where it is due or the run was asked to stop
        4. the validation accuracy is measured, where it is due
    """

    def __init__(
        self, stage: str, model: Classifier, experiment: Experiment, source: Source, workdir: Path, mesh: Mesh
    ):
        self.stage, self.experiment, self.source, self.workdir, self.mesh = stage, experiment, source, workdir, mesh
        self.settings: StageConfig = getattr(experiment, stage)
        self.steps_per_epoch = len(source) // self.settings.batch_size
        self.total_steps = self.settings.epochs * self.steps_per_epoch
        self.trained = list_trained(model, stage)
        optimizer = create_optimizer(self.settings, self.total_steps, tuple(self.trained.values()))
        self.resize, self.description = network_resize(model), describe_network(model)
        self.graphdef, whole = nnx.split(model)
        params, statistics, frozen = split_state(whole, stage)
        state = create_state(params, statistics, optimizer, averaged=self.settings.ema > 0)
        self.state, self.frozen = replicate((state, frozen), mesh)
        self.train_step = create_train_step(self.graphdef, optimizer, stage, self.settings, experiment.seed, mesh)
        self.bad_records = BadRecords(source, experiment.data.on_bad_record)

    def train(self, stop: StopRequest, hook: Hook) -> Classifier:
        """Train from the newest checkpoint, or from the start, and return the trained network."""
        with Checkpoints(checkpoint_directory(self.workdir, self.stage), writes=True) as checkpoints:
            self.restore(checkpoints)
            if int(self.state.step) < self.total_steps or self.lacks_summary():
                checkpoints.check_limits(as_trees(self.state, self.frozen))
                try:
                    self.run(checkpoints, stop, hook)
                except NotFinite as error:
                    raise RunError(
                        f"{error.name} is {error.value} at step {error.step} of stage {self.stage}: training stopped "
                        f"there. {checkpoints.last_good()} Lower learning_rate or set clip_norm, in another --workdir."
                    ) from error
                except jax.errors.JaxRuntimeError as error:
                    if "RESOURCE_EXHAUSTED" not in str(error):
                        raise
                    raise RunError(
                        f"memory is full in stage {self.stage} with {self.settings.batch_size} images a step on "
                        f"{self.mesh.size} devices. {checkpoints.last_good()} Set --config.{self.stage}.accumulate to "
                        "compute a step in parts, or lower batch_size."
                    ) from error
                except OSError as error:
                    if error.errno not in NO_ROOM:
                        raise
                    raise RunError(
                        f"stage {self.stage} cannot write to {self.workdir} ({error}). {checkpoints.last_good()} Make "
                        "room and run the same command again."
                    ) from error
        return nnx.merge(self.graphdef, *self.state.result, self.frozen)

    def restore(self, checkpoints: Checkpoints) -> None:
        """Take the state of the newest whole checkpoint, where there is one."""
        restored = checkpoints.restore(
            as_trees(self.state, self.frozen),
            set_aside=True,
            check=lambda saved: check_same_run(saved, self.experiment, self.stage, self.source, checkpoints.directory),
        )
        if restored is None:
            return
        step, trees, saved = restored
        state, frozen = from_trees(trees, self.stage)
        weights, now = saved["config"]["weights"], self.experiment.weights
        if weights != now and digest_backbone(frozen) != digest_backbone(self.frozen):
            raise InputError(
                f"the checkpoint in {checkpoints.directory} was trained from the weights {weights!r}, and {now!r} are "
                "others. To go on, name the same ones, wherever they lie; to train from the new ones, use another "
                "--workdir."
            )
        self.state, self.frozen = replicate((state, frozen), self.mesh)
        if step < self.total_steps:
            log.info("stage %s goes on after step %d, %s", self.stage, step, checkpoints.directory / str(step))

    def run(self, checkpoints: Checkpoints, stop: StopRequest, hook: Hook) -> None:
        """Take all steps that are left, and say what the stage was."""
        settings = self.settings
        first_step = int(self.state.step)
        validation = self.create_validation()
        batches, pictures = self.open_batches(first_step, stop), self.create_pictures()
        accuracy: dict[str, float] = {}
        running: collections.deque[Any] = collections.deque()
        with (
            TrainingLog(
                self.workdir, self.stage, first_step, self.total_steps, settings.batch_size, hook
            ) as training_log,
            Feed(batches, self.mesh) as feed,
        ):

            def validate(step: int) -> None:
                nonlocal accuracy
                is_first = not accuracy
                accuracy = validation.measure(model_state(self.state, self.frozen))
                if is_first and self.experiment.weights and (doubt := validation.describe_chance(accuracy)):
                    log.warning("%s", doubt)
                training_log.write_validation(step, accuracy, validation.measures, validation.top5)
                if pictures:
                    training_log.write_pictures(step, pictures.draw(model_state(self.state, self.frozen)))

            missed = first_step > 0 and self.is_due(first_step, settings.validate_every)
            if missed and first_process(not training_log.has_validation(first_step)):
                validate(first_step)
            training_log.resume_clock()
            for step in range(first_step + 1, self.total_steps + 1):
                batch = feed.next(running[-1] if running else None)
                self.state, metrics = self.train_step(self.state, self.frozen, batch)
                training_log.add(step, metrics)
                running.append(metrics[name_metric("loss", next(iter(self.trained)), self.trained)])
                if len(running) > AHEAD:  # more would only wait on the device, each with its batch
                    jax.block_until_ready(running.popleft())
                stopping = stop.reached()
                validation_due = self.is_due(step, settings.validate_every) and not stopping
                save_due = self.is_due(step, settings.save_every) or stopping
                first = step == first_step + 1
                if first or save_due or validation_due or step % settings.log_every == 0:
                    training_log.flush(first)
                if save_due:  # before the validation, which may take longer than the time that is left
                    trees = as_trees(self.state, self.frozen)
                    described = describe_run(self.experiment, self.stage, step, self.source)
                    checkpoints.save(step, trees, described | {"network": self.description})
                if validation_due:
                    validate(step)
                if save_due or validation_due:
                    training_log.resume_clock()
                if stopping:
                    checkpoints.finish(step)
                    raise Stopped(
                        f"stopped after step {step} of {self.total_steps} of stage {self.stage}, which is saved. Run "
                        "the same command to go on."
                    )
        checkpoints.finish(self.total_steps)
        if not accuracy:  # an earlier run did all of that, but was stopped before its summary
            accuracy = validation.measure(model_state(self.state, self.frozen))
        self.summarise(accuracy, training_log, feed, validation)

    def open_batches(self, first_step: int, stop: StopRequest) -> Generator[dict[str, Any]]:
        """Return what the steps are computed from: new views of images, or features of some that are kept."""
        settings, data, seed = self.settings, self.experiment.data, self.experiment.seed
        if not settings.cached_views:
            return training_batches(self.source, data, settings.batch_size, seed, first_step, self.bad_records)
        model: Classifier = nnx.merge(self.graphdef, model_state(self.state, self.frozen))
        cache = FeatureCache(self.workdir / "features", model, self.source, data, seed, self.mesh)
        cache.fill(settings.cached_views, self.experiment.evaluation.batch_size, self.bad_records, stop)
        return cache.batches(settings.cached_views, settings.batch_size, first_step)

    def create_validation(self) -> SplitAccuracy:
        """Return what measures the accuracy on the validation split, in batches that training's memory holds."""
        data, settings = self.experiment.data, self.settings
        return SplitAccuracy(
            open_split(data, data.validation_split),
            self.resize,
            settings.batch_size // settings.accumulate,
            self.graphdef,
            self.mesh,
            data.on_bad_record,
        )

    def create_pictures(self) -> MapPictures | None:
        """Return what draws the maps of validation pictures, where they are asked for; the first process does."""
        data, count = self.experiment.data, self.experiment.log.num_pictures
        if not count or jax.process_index():
            return None
        return MapPictures(open_split(data, data.validation_split), self.resize, count, self.graphdef)

    def lacks_summary(self) -> bool:
        """Return whether this is the last stage, of a run that was stopped just before it wrote its summary."""
        last = last_stage(self.experiment)
        written = summary.read_summary(self.workdir)
        there = (written.get("stage"), written.get("steps")) == (self.stage, self.total_steps)
        return self.stage == last and bool(first_process(not there))

    def is_due(self, step: int, every: int) -> bool:
        """Return whether what happens every so many steps (0: once an epoch), and after the last, happens now."""
        return step % (every or self.steps_per_epoch) == 0 or step == self.total_steps

    def summarise(
        self, accuracy: dict[str, float], training_log: TrainingLog, feed: Feed, validation: SplitAccuracy
    ) -> None:
        """Write what this stage was; the next stage replaces it."""
        if jax.process_index() == 0 and (said := validation.pictures.describe(self.source.decoding)):
            log.info("validation: %s", said)
        others = {pooling: share for pooling, share in accuracy.items() if pooling != "gap"}
        summary.write_summary(
            self.workdir,
            {
                "name": self.experiment.name,
                "stage": self.stage,
                "steps": self.total_steps,
                "images_per_second": training_log.images_per_second,
                "data_wait_share": feed.waited / training_log.seconds if training_log.seconds else None,
                "peak_memory_bytes": summary.peak_memory(),
                validation.measures: accuracy[next(iter(self.trained))],
                f"{validation.measures}_gap": accuracy["gap"],
                **({"accuracies": accuracy} if len(others) > 1 else {}),
                **{f"top5_{pooling}": share for pooling, share in validation.top5.items()},
                "bad_records": add_over_processes(self.bad_records.count + validation.bad_records.count),
                "params_sha256": digest(self.state.result),
                "frozen_sha256": digest(self.frozen),
                "devices": self.mesh.size,
                "device": jax.devices()[0].device_kind,
                "processes": jax.process_count(),
            },
        )


def digest_backbone(frozen: nnx.State) -> str:
    """Return the digest of the backbone among frozen arrays, whatever was fitted to it."""
    return digest(jax.device_get(nnx.filter_state(frozen, nnx.PathContains("backbone"))))
