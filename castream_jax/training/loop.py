"""The training loop: one for both stages.

    1. build the network from the config's seed
    2. stage `backbone` trains its GAP part from scratch, or the weights are loaded
    3. stage `stream` trains the stream alone; backbone and classifier never change again

Each stage resumes from its newest whole checkpoint.
"""

import logging
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh

from castream_jax.checkpoints import Checkpoints, digest
from castream_jax.config import Experiment, StageConfig
from castream_jax.data.pipeline import training_batches
from castream_jax.data.records import BadRecords
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError, RunError, Stopped
from castream_jax.models.classifier import Classifier
from castream_jax.sharding import check_batch_size, create_mesh, replicate
from castream_jax.training import summary
from castream_jax.training.accuracy import SplitAccuracy
from castream_jax.training.feed import Feed
from castream_jax.training.log import NotFinite, TrainingLog
from castream_jax.training.network import BACKBONE, STREAM, build_network, checkpoint_directory, evaluation_resize
from castream_jax.training.optimizer import create_optimizer
from castream_jax.training.resume import check_same_run, describe_run
from castream_jax.training.state import TrainState, create_state, split_state
from castream_jax.training.step import create_train_step
from castream_jax.training.stopping import StopRequest

log = logging.getLogger(__name__)


def train(experiment: Experiment, workdir: Path) -> Classifier:
    """Train what the experiment asks for, or go on where an earlier run stopped, and return the network.

    Writes `checkpoints/<stage>/`, `metrics.jsonl`, `tensorboard/` and, at the end, `summary.json` under `workdir`.

    Raises:
      InputError: the experiment cannot be trained, or is not the one that `workdir` holds.
      RunError: the loss is not finite any more, memory or disk is full; names the last good checkpoint.
      Stopped: SIGTERM or Ctrl-C; the state is saved.
    """
    mesh = create_mesh()
    source = open_source(experiment.data.name, experiment.data.train_split, experiment.data.directory)
    check_trainable(experiment, source, mesh)
    model = build_network(experiment, source.num_classes)
    workdir.mkdir(parents=True, exist_ok=True)
    with StopRequest() as stop:
        if experiment.backbone.epochs:
            gap = Stage(BACKBONE, model.poolings()["gap"], experiment, source, workdir, mesh).train(stop)
            model.backbone, model.classifier = gap.backbone, gap.classifier
        if experiment.model.pooling == "ca":
            model = Stage(STREAM, model, experiment, source, workdir, mesh).train(stop)
    return model


def check_trainable(experiment: Experiment, source: Source, mesh: Mesh) -> None:
    """Raise `InputError` if there is nothing to train, nothing to train the stream on, or batches do not fit."""
    if not experiment.backbone.epochs and not experiment.weights:
        raise InputError(
            "config has neither weights nor backbone.epochs: set --config.weights to the weights of a "
            "pretrained network, or --config.backbone.epochs to train one from scratch."
        )
    if experiment.model.pooling == "gap" and not experiment.backbone.epochs:
        raise InputError("there is nothing to train: model.pooling is 'gap' and backbone.epochs is 0.")
    for stage in (BACKBONE, STREAM):
        settings: StageConfig = getattr(experiment, stage)
        if not settings.epochs:
            continue
        parts = f", in {settings.accumulate} parts" if settings.accumulate > 1 else ""
        check_batch_size(f"{stage}.batch_size{parts}", settings.batch_size // settings.accumulate, mesh)
        if settings.batch_size > len(source):
            raise InputError(
                f"{stage}.batch_size is {settings.batch_size}: {source.name} has {len(source)} images only."
            )


class Stage:
    """One stage of training a network: `train` starts or resumes it, and ends it.

    The order of a step, which a resumed run relies on:

        1. the step is computed from the state and the batch of that number
        2. its metrics are logged, and the run ends if they are not finite
        3. the validation accuracy is measured, where it is due
        4. the state is saved, where it is due or the run was asked to stop
    """

    def __init__(
        self, stage: str, model: Classifier, experiment: Experiment, source: Source, workdir: Path, mesh: Mesh
    ):
        self.stage, self.experiment, self.source, self.workdir, self.mesh = stage, experiment, source, workdir, mesh
        self.settings: StageConfig = getattr(experiment, stage)
        self.steps_per_epoch = len(source) // self.settings.batch_size
        self.total_steps = self.settings.epochs * self.steps_per_epoch
        optimizer = create_optimizer(self.settings, self.total_steps)
        self.graphdef, whole = nnx.split(model)
        params, statistics, frozen = split_state(whole, stage)
        state = create_state(params, statistics, optimizer, averaged=self.settings.ema > 0)
        self.state, self.frozen = replicate((state, frozen), mesh)
        self.train_step = create_train_step(self.graphdef, optimizer, stage, self.settings, experiment.seed, mesh)
        self.bad_records = BadRecords(source, experiment.data.on_bad_record)

    def train(self, stop: StopRequest) -> Classifier:
        """Train from the newest checkpoint, or from the start, and return the trained network."""
        with Checkpoints(checkpoint_directory(self.workdir, self.stage)) as checkpoints:
            self.restore(checkpoints)
            if int(self.state.step) < self.total_steps or self.lacks_summary():
                try:
                    self.run(checkpoints, stop)
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
            check=lambda saved: check_same_run(saved, self.experiment, self.stage, checkpoints.directory),
        )
        if restored is None:
            return
        step, trees, _ = restored
        self.state, self.frozen = replicate(from_trees(trees, self.stage), self.mesh)
        if step < self.total_steps:
            log.info("stage %s goes on after step %d, %s", self.stage, step, checkpoints.directory / str(step))

    def run(self, checkpoints: Checkpoints, stop: StopRequest) -> None:
        """Take all steps that are left, and say what the stage was."""
        settings, data = self.settings, self.experiment.data
        first_step = int(self.state.step)
        held_out = open_source(data.name, data.validation_split, data.directory)
        resize = evaluation_resize(self.experiment)
        validation = SplitAccuracy(held_out, resize, settings.batch_size, self.graphdef, self.mesh, data.on_bad_record)
        batches = training_batches(
            self.source, data, settings.batch_size, self.experiment.seed, first_step, self.bad_records
        )
        accuracy: dict[str, float] = {}
        metrics: dict[str, jax.Array] = {}
        with (
            TrainingLog(self.workdir, self.stage, first_step, self.total_steps, settings.batch_size) as training_log,
            Feed(batches, self.mesh) as feed,
        ):
            for step in range(first_step + 1, self.total_steps + 1):
                batch = feed.next(metrics.get("loss"))
                self.state, metrics = self.train_step(self.state, self.frozen, batch)
                training_log.add(step, metrics)
                stopping = stop.reached()
                validate = self.is_due(step, settings.validate_every)
                save = stopping or self.is_due(step, settings.save_every)
                first = step == first_step + 1
                if first or save or validate or step % settings.log_every == 0:
                    training_log.flush(first)
                if validate:
                    accuracy = validation.measure(model_state(self.state, self.frozen))
                    training_log.write_validation(step, accuracy)
                if save:
                    trees = as_trees(self.state, self.frozen)
                    checkpoints.save(step, trees, describe_run(self.experiment, self.stage, step))
                if validate or save:
                    training_log.resume_clock()
                if stopping:
                    checkpoints.finish(step)
                    raise Stopped(
                        f"stopped after step {step} of {self.total_steps} of stage {self.stage}, which is saved. Run "
                        "the same command to go on."
                    )
        checkpoints.finish(self.total_steps)
        if not accuracy:  # an earlier run took the last step, but was stopped before its summary
            accuracy = validation.measure(model_state(self.state, self.frozen))
        self.summarise(accuracy, training_log, feed)

    def lacks_summary(self) -> bool:
        """Return whether this is the last stage, of a run that was stopped just before it wrote its summary."""
        last = STREAM if self.experiment.model.pooling == "ca" else BACKBONE
        return self.stage == last and not (self.workdir / summary.NAME).exists()

    def is_due(self, step: int, every: int) -> bool:
        """Return whether what happens every so many steps (0: once an epoch), and after the last, happens now."""
        return step % (every or self.steps_per_epoch) == 0 or step == self.total_steps

    def summarise(self, accuracy: dict[str, float], training_log: TrainingLog, feed: Feed) -> None:
        """Write what this stage was; the next stage replaces it."""
        gap_or_ca = "ca" if "ca" in accuracy else "gap"
        summary.write_summary(
            self.workdir,
            {
                "name": self.experiment.name,
                "stage": self.stage,
                "steps": self.total_steps,
                "images_per_second": training_log.images_per_second,
                "data_wait_share": feed.waited / training_log.seconds if training_log.seconds else None,
                "peak_memory_bytes": summary.peak_memory(),
                "accuracy": accuracy[gap_or_ca],
                "accuracy_gap": accuracy["gap"],
                "bad_records": self.bad_records.count,
                "params_sha256": digest(self.state.result),
                "frozen_sha256": digest(self.frozen),
                "devices": self.mesh.size,
                "device": jax.devices()[0].device_kind,
                "processes": jax.process_count(),
            },
        )


def model_state(state: TrainState, frozen: nnx.State) -> nnx.State:
    """Return all arrays of the network that training is for: those trained, or their averages, and the frozen."""
    return nnx.merge_state(*state.result, frozen)


def as_trees(state: TrainState, frozen: nnx.State) -> dict[str, Any]:
    """Return the trees that a checkpoint holds: the network, and what else training goes on from."""
    training = {"step": state.step, "opt_state": state.opt_state}
    if state.average:
        training |= {"params": state.params, "statistics": state.statistics}
    return {"model": model_state(state, frozen), "training": training}


def from_trees(trees: dict[str, Any], stage: str) -> tuple[TrainState, nnx.State]:
    """Return the state and the frozen arrays that a checkpoint holds."""
    params, statistics, frozen = split_state(trees["model"], stage)
    training = trees["training"]
    average = (params, statistics) if "params" in training else None
    if average:
        params, statistics = training["params"], training["statistics"]
    return TrainState(training["step"], params, statistics, training["opt_state"], average), frozen
