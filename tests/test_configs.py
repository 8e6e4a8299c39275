"""Every config reads, and names what exists."""

import re
from pathlib import Path

import pytest

from castream_jax.cli import command
from castream_jax.evaluation.maps import METHODS
from castream_jax.metrics.protocol import PROTOCOLS
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.weights.known import KNOWN

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_reads_and_says_its_commands(path):
    experiment = command.parse_flags(["train.py", "--config", str(path)]).experiment
    assert experiment.name == path.stem
    assert experiment.model.name in ARCHITECTURES
    assert experiment.evaluation.protocol in PROTOCOLS
    assert set(experiment.evaluation.attributions) <= set(METHODS)
    if experiment.weights:
        assert KNOWN[experiment.weights].architecture == experiment.model.name
    else:
        assert experiment.backbone.epochs
    commands = re.findall(r"python (?:train|evaluate)\.py --config (\S+)", path.read_text())
    assert commands
    assert set(commands) == {f"configs/{path.name}"}
    trains = experiment.backbone.epochs or experiment.stream.epochs
    assert ("python train.py" in path.read_text()) == bool(trains)


def test_the_papers_rows_have_their_configs():
    assert {"resnet50_gap", "resnet50_ca", "convnext_gap", "convnext_ca"} <= {path.stem for path in CONFIGS}


def test_imagenettes_classes_are_ten_of_imagenets():
    experiment = command.parse_flags(
        ["train.py", "--config", str(CONFIGS[0].parent / "imagenette_resnet18_ca.py")]
    ).experiment
    assert len(set(experiment.classes)) == 10
    assert list(experiment.classes) == sorted(experiment.classes)
    assert all(0 <= index < 1000 for index in experiment.classes)
