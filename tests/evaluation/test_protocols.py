"""The same maps under every protocol: the first column is what an evaluation finds."""

import dataclasses

import numpy as np
import pytest

from castream_jax.config import Experiment, OwnProtocol
from castream_jax.evaluation.protocols import list_protocols, measure_protocols, render
from castream_jax.evaluation.runner import evaluate
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.training.loop import train
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow


def test_a_protocol_of_ones_own_has_its_columns():
    experiment = Experiment("x", own_protocol=OwnProtocol(step_rows=4))
    own = list_protocols(experiment)["castream-own"]
    assert [*list_protocols(experiment)] == [*PROTOCOLS, "castream-own"]
    assert list_protocols(Experiment("x")) == PROTOCOLS
    means = {name: {"grad_cam/ca": dict.fromkeys(("AD", "AG", "AI", "D", "I"), 1.0)} for name in ("rise", own.name)}
    table = render(means, "2 images", list_protocols(experiment))
    assert f"protocols rise (c3c3c59a) and castream-own ({own.hash})" in table
    assert "I ↑ castream-own" in table
    assert "| AD ↓ rise | AG ↑ rise | AI ↑ rise | I ↑ rise | D ↓ rise |" in table  # whatever the order of the means


def test_one_protocol_is_the_evaluations_and_another_differs(demo_directory, tmp_path):
    experiment = small_experiment(str(demo_directory))
    config = dataclasses.replace(experiment.evaluation, attributions=("grad_cam", "attention"))
    experiment = dataclasses.replace(experiment, evaluation=config)
    train(experiment, tmp_path)
    means, images, protocols = measure_protocols(experiment, tmp_path)
    assert images == "10 images"
    assert set(means) == set(PROTOCOLS)
    rows = [row for row in evaluate(experiment, tmp_path).rows.to_pylist() if row["attribution"] == "grad_cam"]
    drop = 100 * np.mean([row["average_drop"] for row in rows if row["pooling"] == "ca"])
    assert means["castream"]["grad_cam/ca"]["AD"] == pytest.approx(drop, abs=0.05)
    assert means["rise"]["grad_cam/ca"]["AD"] == pytest.approx(drop, abs=0.05)  # the same class, the same masks
    assert means["rise"]["grad_cam/ca"]["I"] != means["castream"]["grad_cam/ca"]["I"]
    table = render(means, images, protocols)
    assert "castream (17fcc097)" in table
    assert len(table.splitlines()) == 4 + 3
