"""Every config reads, and names what exists."""

import dataclasses
import re
from pathlib import Path

import pytest
from flax import nnx

import castream_jax as ca
from castream_jax.cli import command
from castream_jax.evaluation.batch import predict_cost
from castream_jax.experiment.plan import create_plan
from castream_jax.experiment.preprocessing import settle_preprocessing
from castream_jax.models.classifier import ARCHITECTURES
from castream_jax.models.inputs import USUAL_SIZE
from castream_jax.weights.known import KNOWN

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent.parent / "configs"
CONFIGS = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_reads_and_says_its_commands(path):
    experiment = command.parse_flags(["train.py", "--config", str(path)]).experiment
    assert experiment.name == path.stem
    assert experiment.model.name in ARCHITECTURES
    assert experiment.evaluation.protocol in ca.PROTOCOLS
    assert set(experiment.evaluation.attributions) <= set(ca.METHODS)
    if experiment.weights:
        assert KNOWN[experiment.weights].architecture == experiment.model.name
    else:
        assert experiment.backbone.epochs
    is_study = path.parent.name == "studies"
    typed = r"castream study (\S+)" if is_study else r"python (?:train|evaluate)\.py --config (\S+)"
    commands = re.findall(typed, path.read_text())
    assert commands
    assert set(commands) == {path.relative_to(FOLDER.parent).as_posix()}
    trains = experiment.backbone.epochs or experiment.stream.epochs
    assert is_study or ("python train.py" in path.read_text()) == bool(trains)


def test_the_papers_rows_have_their_configs():
    assert {"resnet50_gap", "resnet50_ca", "convnext_gap", "convnext_ca"} <= {path.stem for path in CONFIGS}


def test_imagenettes_classes_are_ten_of_imagenets():
    experiment = command.parse_flags(
        ["train.py", "--config", str(CONFIGS[0].parent / "imagenette_resnet18_ca.py")]
    ).experiment
    assert len(set(experiment.classes)) == 10
    assert list(experiment.classes) == sorted(experiment.classes)
    assert all(0 <= index < 1000 for index in experiment.classes)


COST = r"at most ([\d,]+) forward\s+passes an\s+image \(([\d,]+) of them Score-CAM's\)"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_a_config_says_it_costs(path):
    """As the program itself counts it, without a black image and one of the mean colour, which serve a whole batch."""
    stated = re.search(COST, path.read_text())
    assert stated or path.stem in ("demo", "convnext_ca_adamw") or path.parent.name == "studies", "say what it costs"
    if stated:
        total, channels = (int(number.replace(",", "")) for number in stated.groups())
        experiment = command.parse_flags(["evaluate.py", "--config", str(path)]).experiment
        evaluation = dataclasses.replace(experiment.evaluation, chunk=16)
        experiment = dataclasses.replace(experiment, evaluation=evaluation)
        model = nnx.eval_shape(lambda: ca.create_model(experiment.model.name, experiment.model.pooling))
        settle_preprocessing(model, experiment)
        size = (experiment.data.image_size or USUAL_SIZE,) * 2
        assert (total, channels) == predict_cost(model, create_plan(experiment, model), size)
