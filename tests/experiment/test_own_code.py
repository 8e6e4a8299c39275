"""What of a user's own code an experiment's results depend on."""

import dataclasses

from castream_jax.config import EvaluationConfig, Experiment, ModelConfig
from castream_jax.experiment.own_code import digest_own_code


def test_networks_poolings_maps_and_metrics_of_ones_own_are_told_apart_by_their_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "own_records_of_a_test.py"
    module.write_text("first = 1")
    address = "own_records_of_a_test:first"
    plain = Experiment(name="e", model=ModelConfig(name="resnet18_small", pooling="ca, gem(p=4)"))
    assert digest_own_code(plain) == {}
    for own in (
        dataclasses.replace(plain, model=dataclasses.replace(plain.model, pooling=f"ca, {address}(size=3)")),
        dataclasses.replace(plain, evaluation=EvaluationConfig(attributions=("grad_cam", address))),
        dataclasses.replace(plain, evaluation=EvaluationConfig(metrics=("AD", address))),
    ):
        module.write_text("first = 1")
        before = digest_own_code(own)
        assert list(before) == [address]
        module.write_text("first = 2")
        assert digest_own_code(own) != before
