"""What an evaluation would cost: never less than it did."""

import re

from castream_jax.evaluation import estimate as module
from castream_jax.evaluation.cost import predict_passes
from castream_jax.evaluation.estimate import estimate
from castream_jax.metrics.protocol import PROTOCOLS
from tests.training.small import small_experiment


def test_the_papers_passes():
    """METHOD 3 at 224 pixels: 28 steps, so 27 points between the ends of each of two curves, and one masked image."""
    found = predict_passes(PROTOCOLS["castream"], (224, 224), maps=7 + 4, channels=2048, score_cam=True)
    assert found == 2048 + 3 + 11 * (1 + 2 * 27)


def test_a_dry_run_says_passes_and_hours_without_a_trained_network(demo_directory, monkeypatch):
    experiment = small_experiment(str(demo_directory))
    monkeypatch.setattr(module, "CALIBRATION", 0.2)
    said = estimate(experiment)
    each = predict_passes(PROTOCOLS["castream"], (32, 32), 7 + 4, 128, True)
    assert f"10 images, at most {each:,} forward passes each, 128 of them Score-CAM's: {10 * each:,} in all" in said
    assert float(re.search(r"at most ([\d.]+) hours", said)[1]) >= 0
