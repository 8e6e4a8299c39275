"""What an evaluation would cost: never less than it did."""

import re

import pytest

from castream_jax.evaluation import estimate as module
from castream_jax.evaluation.cost import predict_passes
from castream_jax.evaluation.estimate import estimate
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.training.loop import train
from tests.training.small import small_experiment


def test_the_papers_passes():
    """METHOD 3 at 224 pixels: 28 steps, so 27 points between the ends of each of two curves, and one masked image."""
    found = predict_passes(PROTOCOLS["castream"], (224, 224), maps=7 + 4, channels=2048, score_cam=True)
    assert found == 2048 + 3 + 11 * (1 + 2 * 27)


@pytest.mark.slow
def test_a_dry_run_says_passes_and_hours_and_writes_nothing(demo_directory, tmp_path, monkeypatch):
    experiment = small_experiment(str(demo_directory))
    train(experiment, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(module, "CALIBRATION", 0.2)
    said = estimate(experiment, tmp_path)
    each = predict_passes(PROTOCOLS["castream"], (32, 32), 7 + 4, 128, True)
    assert f"10 images, at most {each:,} forward passes each, 128 of them Score-CAM's: {10 * each:,} in all" in said
    assert float(re.search(r"at most ([\d.]+) hours", said)[1]) >= 0
    assert sorted(tmp_path.rglob("*")) == before
