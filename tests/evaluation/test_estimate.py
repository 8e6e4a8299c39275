"""What an evaluation would cost: at least what it then does."""

import re

import jax
import pytest

from castream_jax.evaluation import estimate as module
from castream_jax.evaluation.cost import predict_passes
from castream_jax.evaluation.estimate import estimate
from castream_jax.metrics.protocol import PROTOCOLS
from tests.demo_data import SIZES
from tests.training.small import small_experiment


def test_the_papers_passes():
    """METHOD 3 at 224 pixels: 28 steps, so 27 points between the ends of each of two curves, and one masked image."""
    found = predict_passes(PROTOCOLS["castream"], (224, 224), maps=7 + 4, channels=2048, score_cam=True)
    assert found == 2048 + 3 + 11 * (1 + 2 * 27)


EACH = predict_passes(PROTOCOLS["castream"], (32, 32), 7 + 4, 128, True)


def test_a_dry_run_says_passes_and_speed_without_a_trained_network(demo_directory, monkeypatch):
    monkeypatch.setattr(module, "CALIBRATION", 0.2)
    said = estimate(small_experiment(str(demo_directory)))
    assert "10 images, and 16 once more for the report, at most " in said
    assert f"{EACH:,} forward passes each, 128 of them Score-CAM's, and {SIZES['test']} for the accuracies" in said
    assert f": {26 * EACH + SIZES['test']:,} in all" in said
    assert int(re.search(r"\n([\d,]+) passes a second", said)[1].replace(",", "")) > 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(30, "1 minute"), (61, "2 minutes"), (3599, "1.0 hours"), (600, "10 minutes"), (9000, "2.5 hours")],
)
def test_the_time_is_passes_over_speed_of_all_devices(demo_directory, monkeypatch, seconds, expected):
    rate = (26 * EACH + SIZES["test"]) / seconds / jax.process_count()
    monkeypatch.setattr(module, "measure_rate", lambda *_: rate)
    assert f"at most {expected}, less" in estimate(small_experiment(str(demo_directory)))
