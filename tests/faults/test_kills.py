"""A killed run goes on and ends with the same bits; `benchmarks/kill_and_resume.py` is the long form."""

import pytest

from tests.compiling import share_programs_of_runs
from tests.faults.kills import kill_and_resume

pytestmark = pytest.mark.slow

TRAINING = [
    "--config=configs/demo.py",
    "--config.data.image_size=32",
    "--config.backbone.epochs=2",
    "--config.stream.epochs=2",
    "--config.stream.batch_size=32",
    "--config.backbone.save_every=2",
    "--config.stream.save_every=2",
]


def test_killed_twice(demo_directory, tmp_path):
    """Once in a save."""
    share_programs_of_runs(tmp_path)
    assert len(kill_and_resume(TRAINING, demo_directory, tmp_path, kills=2)) == 2
