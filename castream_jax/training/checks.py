"""What must hold before training starts: mistakes are named before anything is written."""

import logging
from dataclasses import replace
from typing import Any

import jax
from jax.sharding import Mesh

from castream_jax.compute.sharding import check_batch_size
from castream_jax.config import Experiment, StageConfig
from castream_jax.data.explained_classes import check_labels_there
from castream_jax.data.source import Source, open_split
from castream_jax.errors import InputError
from castream_jax.experiment.loading import BACKBONE, STREAM, last_stage
from castream_jax.experiment.several_labels import check_score_fits
from castream_jax.importing import is_address
from castream_jax.models.answers import check_probabilities

log = logging.getLogger(__name__)


def settle_batch_sizes(experiment: Experiment, source: Source, mesh: Mesh) -> Experiment:
    """Return the experiment with batches that a small dataset fills, and say so: as large as it and devices allow.

    Raises:
      InputError: there are fewer images than one step takes.
    """
    for stage in (BACKBONE, STREAM):
        settings: StageConfig = getattr(experiment, stage)
        if not settings.epochs or settings.batch_size <= len(source):
            continue
        parts = settings.accumulate * mesh.size * (2 if settings.mixup or settings.cutmix else 1)
        size = len(source) // parts * parts
        if not size:
            raise InputError(
                f"{stage}.batch_size is {settings.batch_size}: {source.name} has {len(source)} images only, and a step "
                f"here takes at least {parts}."
            )
        log.warning(
            "%s has %d images: %s.batch_size is %d here, not %d.",
            *(source.name, len(source), stage, size, settings.batch_size),
        )
        smaller: Any = {stage: replace(settings, batch_size=size)}
        experiment = replace(experiment, **smaller)
    return experiment


def check_trainable(experiment: Experiment, source: Source, mesh: Mesh) -> None:
    """Raise `InputError` if there is nothing to train, one class only, no data, or batches do not fit."""
    check_score_fits(source, experiment.model.score)
    check_probabilities(f"a network for {source.name}", source.num_classes, experiment.model.score)
    if source.num_classes < 2:
        raise InputError(f"{source.name} has one class: nothing can be told apart by training on it.")
    if not experiment.backbone.epochs and not experiment.weights and not is_address(experiment.model.name):
        raise InputError(
            "config has neither weights nor backbone.epochs: set --config.weights to the weights of a "
            "pretrained network, or --config.backbone.epochs to train one from scratch."
        )
    last = last_stage(experiment)
    if not getattr(experiment, last).epochs:
        pooling = experiment.model.pooling
        raise InputError(f"there is nothing to train: model.pooling is {pooling!r} and {last}.epochs is 0.")
    data = experiment.data
    validation = open_split(data, data.validation_split)
    if not len(validation):
        raise InputError(
            f"split {data.validation_split!r} of {data.name} is empty: name another data.validation_split."
        )
    check_labels_there(validation)
    for stage in (BACKBONE, STREAM):
        settings: StageConfig = getattr(experiment, stage)
        if not settings.epochs:
            continue
        if settings.cached_views and jax.process_count() > 1:
            raise InputError(
                f"{stage}.cached_views is {settings.cached_views}: one process keeps features for itself alone, and "
                f"there are {jax.process_count()}. Set it to 0."
            )
        parts = f", in {settings.accumulate} parts" if settings.accumulate > 1 else ""
        check_batch_size(f"{stage}.batch_size{parts}", settings.batch_size // settings.accumulate, mesh.size)
        if settings.mixup or settings.cutmix:  # pairs on one device
            check_batch_size(f"{stage}.batch_size with mixup or cutmix", settings.batch_size, 2 * mesh.size)
