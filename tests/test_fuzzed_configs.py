"""Whatever a config or a command line says, a user sees one message and never a traceback."""

import contextlib
import functools
import io
import re
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castream_jax.cli import command, origin
from castream_jax.compute.sharding import create_mesh
from castream_jax.config import Experiment
from castream_jax.data.pipeline import training_batches
from castream_jax.data.source import open_split
from castream_jax.experiment.preprocessing import network_resize, settle_preprocessing, settled
from castream_jax.models.classifier import create_model
from castream_jax.training.checks import check_trainable
from castream_jax.training.optimizer import create_optimizer
from tests import fuzzing
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow

# Always the same examples here; `benchmarks/fuzz_training.py` draws new ones and trains.
MANY = settings(
    max_examples=120, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@functools.cache
def trace_network(name: str, pooling: str, heads: int, dtype: str) -> tuple:
    """Return the parts of a network without numbers, which examples share."""
    return nnx.split(nnx.eval_shape(lambda: create_model(name, pooling, 10, heads, 0, dtype)))


def prepare_training(experiment: Experiment, _: Path) -> None:
    """Do all that comes before the first step of training, but the weights' own numbers."""
    source = open_split(experiment.data, experiment.data.train_split)
    check_trainable(experiment, source, create_mesh())
    model = experiment.model
    network = nnx.merge(*trace_network(model.name, model.pooling, model.heads, model.dtype))
    network.target(experiment.evaluation.target or None)
    settle_preprocessing(network, experiment)
    network_resize(network)
    experiment = settled(experiment, network)
    open_split(experiment.data, experiment.data.validation_split)
    for stage in (experiment.backbone, experiment.stream):
        if stage.epochs:
            create_optimizer(stage, stage.epochs * (len(source) // stage.batch_size))
    if experiment.data.image_size <= 64 and not experiment.data.workers:
        batch = next(training_batches(source, experiment.data, 8, experiment.seed))
        assert batch["images"].dtype == np.uint8


def ends_well(main: Callable, argv: list[str]) -> str:
    """Run a command, and return its message if it had one."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            command.run(main, "", argv)
        except SystemExit as ended:
            if ended.code != 2:
                raise
            assert re.search("^error: ", said.getvalue(), re.MULTILINE)
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


@MANY
@given(data=st.data())
def test_configs(data, demo_directory, monkeypatch):
    start = small_experiment(str(demo_directory)).to_dict()
    changed = data.draw(fuzzing.changed_settings(start))
    monkeypatch.setattr(origin, "load_config", lambda _: changed)
    ends_well(prepare_training, ["train.py", "--nocompile_cache"])


KEYS = [".".join(path) for path in fuzzing.leaves(Experiment(name="x").to_dict())]
ARGUMENTS = st.one_of(
    st.tuples(st.sampled_from(KEYS), st.one_of(fuzzing.TEXTS, fuzzing.NUMBERS.map(str))).map(
        lambda pair: f"--config.{pair[0]}={pair[1]}"
    ),
    st.tuples(fuzzing.TEXTS, fuzzing.TEXTS).map(lambda pair: f"--{pair[0]}={pair[1]}"),
    fuzzing.TEXTS,
)


@MANY
@given(arguments=st.lists(ARGUMENTS, max_size=3))
def test_command_lines(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends_well(lambda *_: None, ["train.py", "--nocompile_cache", *arguments])


def test_the_settings_start_from_a_config_that_trains(demo_directory):
    prepare_training(small_experiment(str(demo_directory)), Path("nowhere"))
    assert jax.device_count() == 8


def test_a_mistake_is_seen_to_be_said(demo_directory, monkeypatch):
    start = small_experiment(str(demo_directory)).to_dict()
    monkeypatch.setattr(origin, "load_config", lambda _: start | {"sed": 1})
    assert "Did you mean 'seed'" in ends_well(prepare_training, ["train.py", "--nocompile_cache"])


def test_a_traceback_is_seen():
    with pytest.raises(KeyError):
        ends_well(lambda *_: {}["ours"], ["train.py", "--nocompile_cache"])
