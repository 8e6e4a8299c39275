"""The training loop: one for both stages.

    1. build the network from the config's seed
    2. its weights are loaded, where there are any; a classifier of new classes is fitted to the frozen backbone
    3. stage `backbone` trains its GAP part, from scratch or from there, where the config asks for it
    4. stage `stream` trains the poolings, all from the same features; backbone and classifier never change again

Each stage resumes from its newest whole checkpoint.
"""

import contextlib
import logging
from pathlib import Path

import jax

from castream_jax.compute.sharding import create_mesh
from castream_jax.config import Experiment
from castream_jax.data.bad_records import sample_pictures
from castream_jax.data.classes.class_names import check_class_names
from castream_jax.data.source import open_split
from castream_jax.experiment.loading import BACKBONE, STREAM, has_checkpoint, last_stage
from castream_jax.experiment.own_network import require_classifier
from castream_jax.experiment.preprocessing import settled
from castream_jax.experiment.record import has_record, write_record
from castream_jax.hook import Hook
from castream_jax.models.classifier import Classifier
from castream_jax.storage.locking import alone_in
from castream_jax.training.checks import check_trainable, settle_batch_sizes
from castream_jax.training.classifier_fit import fit_classifier
from castream_jax.training.resume import load_network
from castream_jax.training.stage import Stage
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
    source = open_split(experiment.data, experiment.data.train_split)
    check_trainable(experiment, source, mesh)
    if jax.process_index() == 0 and (said := sample_pictures(source).describe(source.decoding)):
        log.info("training: %s", said)
    model = require_classifier(load_network(experiment, workdir, source.num_classes), experiment)
    check_class_names(model.class_names, source.class_names, f"the network of {experiment.weights}")
    model.class_names = source.class_names
    asked, experiment = experiment, settled(settle_batch_sizes(experiment, source, mesh), model)
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            stack.enter_context(alone_in(workdir, "training"))
            if not has_record(workdir):
                write_record(asked, workdir)
        hook = stack.enter_context(Hook(asked, "training", workdir, speaks=jax.process_index() == 0))
        stop = stack.enter_context(StopRequest())
        if experiment.replace_classifier and not has_checkpoint(workdir):
            fit_classifier(model, experiment, source)
        if experiment.backbone.epochs:
            gap = Stage(BACKBONE, model.poolings()["gap"], experiment, source, workdir, mesh).train(stop, hook)
            model.backbone, model.classifier = gap.backbone, gap.classifier
        if last_stage(experiment) == STREAM:
            model = Stage(STREAM, model, experiment, source, workdir, mesh).train(stop, hook)
        write_record(asked, workdir)  # what may change on the way, as of the last run
    return model
