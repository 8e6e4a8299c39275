"""Labels in the order of numbers from a folder to rows and report, and a doubt where the weights know nothing."""

import dataclasses
import logging

import pytest
from safetensors.numpy import save_file

import castream_jax as ca
from castream_jax.config import DataConfig, EvaluationConfig, ModelConfig, StageConfig
from castream_jax.data.source import open_source
from castream_jax.evaluation.runner import evaluate
from castream_jax.report.writing import write_evaluation
from castream_jax.weights.convert import export_weights
from tests.training.small import small_experiment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experiment(demo_directory, tmp_path_factory):
    """Return a GAP network of weights that know nothing, and the demo's pictures in folders 1 to 10."""
    place = tmp_path_factory.mktemp("numbers")
    source = open_source("castream_demo", "test", str(demo_directory))
    for i in range(len(source)):
        folder = place / "pictures" / "test" / str(source[i]["label"] + 1)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(source[i]["image"])
    gap = ca.create_model("resnet18_small", pooling="gap", num_classes=10)
    save_file(export_weights(gap), place / "weights.safetensors")
    config = EvaluationConfig(split="test", num_images=8, batch_size=8, attributions=("grad_cam",), num_figures=1)
    return dataclasses.replace(
        small_experiment(str(demo_directory)),
        weights=str(place / "weights.safetensors"),
        backbone=StageConfig(epochs=0),
        model=ModelConfig(name="resnet18_small", pooling="gap"),
        data=DataConfig(name="image_folder", directory=str(place / "pictures"), image_size=32),
        evaluation=config,
    )


def test_from_folders_to_the_report(experiment, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "castream_jax")
    evaluation = evaluate(experiment, tmp_path)
    for row in evaluation.rows.to_pylist():
        assert row["label"] == int(row["id"].partition("/")[0]) - 1
    (doubt,) = evaluation.warnings
    assert "guessing one of 10 classes is right in 10 %" in doubt
    assert doubt in caplog.messages
    report, directory = write_evaluation(evaluation, experiment, tmp_path)
    assert report["class_names"] == [str(i) for i in range(1, 11)]
    assert report["warnings"][0] == doubt
    assert doubt in (directory / "report.md").read_text().partition("###")[0]
