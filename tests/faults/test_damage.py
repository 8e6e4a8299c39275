"""No damage to a checkpoint ends in wrong numbers."""

import numpy as np
import pytest

from castream_jax.storage.checkpoints import Checkpoints
from tests.faults.damage import try_all

pytestmark = pytest.mark.slow


def trees(value: int) -> dict:
    model = {"a": {"b": np.full(100, value, np.float32)}, "c": [np.arange(3) + value]}
    return {"model": model, "training": {"step": np.int32(value)}}


# When a file is damaged, Orbax leaves behind what it had started, which Python may complain of later.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_file_damaged(tmp_path):
    saved = {step: trees(step) for step in (1, 2)}
    with Checkpoints(tmp_path / "stream") as checkpoints:
        for step, tree in saved.items():
            checkpoints.save(step, tree, {"stage": "stream"})
    counts = try_all(tmp_path / "stream", saved, tmp_path, flips=3)
    print(dict(counts))
    assert {outcome for _, outcome in counts} == {"the newest checkpoint, unharmed", "the one before"}
    assert {kind for kind, found in counts if found == "the one before"} == {
        "deleted",
        "emptied",
        "truncated",
        "flipped",
    }
