"""What an evaluation would cost: at least what it then does."""

import dataclasses
import re

import jax
import pytest
from flax import nnx

import castream_jax as ca
from castream_jax.config import Experiment
from castream_jax.evaluation import estimate as module
from castream_jax.evaluation.batch import predict_cost
from castream_jax.evaluation.estimate import estimate
from castream_jax.experiment.plan import create_plan
from tests.demo_data import SIZES
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow


def test_the_papers_passes():
    """METHOD 3 at 224 pixels: 28 steps, so 27 points between the ends of each of two curves, and one masked image.

    Besides, features, p and the blurred image; the zero and the black image, which a batch shares, are of none.
    """
    model = nnx.eval_shape(lambda: ca.create_model("resnet50"))
    experiment = Experiment("x", evaluation=dataclasses.replace(Experiment("x").evaluation, chunk=64))
    plan = create_plan(experiment, model)
    assert len(plan.keys(model.poolings())) == 7 + 4 * 2
    assert predict_cost(model, plan, (224, 224)) == (2048 + 3 + 11 * (1 + 2 * 27), 2048)


EACH = 128 + 3 + (7 + 4) * (1 + 2 * 3)
"""Four steps of 8 rows: three points between the ends of each curve."""


def test_a_dry_run_says_passes_and_speed_without_a_trained_network(demo_directory, monkeypatch):
    monkeypatch.setattr(module, "CALIBRATION", 0.2)
    said = estimate(small_experiment(str(demo_directory)), shown=31)
    assert "10 images, and 16 once more for the report, at most " in said
    assert f"{EACH:,} forward passes each, {128} of them for the maps, and {SIZES['test']} for the accuracies" in said
    assert f": {26 * EACH + SIZES['test']:,} in all" in said
    assert int(re.search(r"\n([\d,]+) passes a second", said)[1].replace(",", "")) > 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(30, "1 minute"), (61, "2 minutes"), (3599, "1.0 hours"), (600, "10 minutes"), (9000, "2.5 hours")],
)
def test_the_time_is_passes_over_speed_of_all_devices(demo_directory, monkeypatch, seconds, expected):
    rate = (26 * EACH + SIZES["test"]) / seconds / jax.process_count()
    monkeypatch.setattr(module, "measure_rate", lambda *_: rate)
    assert f"at most {expected}, less" in estimate(small_experiment(str(demo_directory)), shown=31)
