"""What an evaluation that was stopped may take up again."""

import dataclasses
from pathlib import Path

from castream_jax.config import ModelConfig, StageConfig
from castream_jax.evaluation.resumable_parts import take_fingerprint
from castream_jax.experiment.resolved import resolve_untrained
from tests.training.small import small_experiment

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "elementwise_cam.py"


def test_edited_code_of_ones_own_is_another_evaluation(demo_directory, tmp_path, monkeypatch):
    """The module is imported once, so that only its file tells."""
    module = tmp_path / "edited_maps.py"
    module.write_text(EXAMPLE.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    experiment = small_experiment(
        str(demo_directory), model=ModelConfig("resnet18_small", "gap"), stream=StageConfig(epochs=0)
    )
    config = dataclasses.replace(experiment.evaluation, attributions=("edited_maps:ELEMENTWISE_CAM",))
    resolved = resolve_untrained(dataclasses.replace(experiment, evaluation=config))
    before = take_fingerprint("arrays", resolved, 1, "")
    assert take_fingerprint("arrays", resolved, 1, "") == before
    module.write_text(EXAMPLE.read_text().replace("jax.nn.relu(g", "jax.nn.relu(-g"))
    assert take_fingerprint("arrays", resolved, 1, "") != before
    module.unlink()
    assert take_fingerprint("arrays", resolved, 1, "") != before
