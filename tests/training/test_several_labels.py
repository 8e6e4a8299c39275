"""A run on pictures that show several classes, from folders as VOC's to the report."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from castream_jax.config import DataConfig, EvaluationConfig, ModelConfig, OwnProtocol, StageConfig
from castream_jax.data.explained_classes import explain_each_class
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import open_source
from castream_jax.data.sources.voc_folder import CLASSES
from castream_jax.errors import InputError
from castream_jax.evaluation import estimate
from castream_jax.evaluation.protocols import measure_protocols
from castream_jax.evaluation.runner import evaluate
from castream_jax.experiment.loading import load_trained
from castream_jax.experiment.split_accuracy import SplitAccuracy
from castream_jax.explanation.print_figures import find_records
from castream_jax.report.writing import write_evaluation
from castream_jax.training.loop import train
from tests.data.made_up import write_voc
from tests.training.small import small_experiment

pytestmark = [pytest.mark.usefixtures("shallow", "remembered"), pytest.mark.slow]

CAT, DOG, TRAIN = (("cat", (2, 3, 20, 22)), ("dog", (5, 25, 30, 44)), ("train", (20, 2, 31, 20)))
SHOWN = [(CAT, DOG), (DOG,), (CAT,), (), (TRAIN, CAT), (TRAIN,), (CAT, DOG, TRAIN)]


def pictures(count: int, prefix: str) -> dict:
    return {f"{prefix}_{i:03d}": [(*thing, False) for thing in SHOWN[i % len(SHOWN)]] for i in range(count)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return (experiment, workdir) of a network that was trained on 64 pictures."""
    place = tmp_path_factory.mktemp("voc")
    write_voc(place, {"train": pictures(64, "a"), "val": pictures(21, "b")})
    experiment = small_experiment(
        "",
        model=ModelConfig(name="resnet18_small", score="sigmoid"),
        data=DataConfig(name=str(place), image_size=32, crop_scale=0.9, flip=False),
        evaluation=EvaluationConfig(
            split="val", num_images=14, batch_size=8, chunk=32, num_figures=3, attributions=("grad_cam", "attention")
        ),
    )
    workdir = tmp_path_factory.mktemp("run")
    train(experiment, workdir)
    return experiment, workdir


def plain_average_precision(scores, there) -> float:
    """Return the area under the interpolated precision-recall curve, from scikit-learn's points of it."""
    precision, recall, _ = precision_recall_curve(there, scores)
    precision, recall = precision[::-1], recall[::-1]
    return sum((recall[i] - recall[i - 1]) * precision[i:].max() for i in range(1, len(recall)))


def test_training_says_mean_average_precision(run):
    lines = [json.loads(line) for line in (run[1] / "metrics.jsonl").read_text().splitlines()]
    validated = [line for line in lines if any(name.startswith("validation_") for name in line)]
    assert len(validated) == 4
    names = {name for line in validated for name in line if name.startswith("validation_")}
    assert names == {"validation_mean_average_precision_gap", "validation_mean_average_precision_ca"}
    summary = json.loads((run[1] / "summary.json").read_text())
    assert summary["mean_average_precision"] == validated[-1]["validation_mean_average_precision_ca"]
    assert "accuracy" not in summary
    assert all(0 <= line["accuracy"] <= 1 for line in lines if "accuracy" in line)


def test_an_evaluation_explains_each_class_of_each_picture(run):
    experiment, workdir = run
    found = evaluate(experiment, workdir)
    source = open_source(experiment.data.name, "val")
    expected = [f"{source[i]['id']}#{CLASSES[label]}" for i in range(14) for label in source[i]["labels"]]
    rows = found.rows.to_pylist()
    assert list(dict.fromkeys(row["id"] for row in rows)) == expected
    assert all(row["id"] == f"{row['image_id']}#{CLASSES[row['label']]}" for row in rows)
    assert all(row["explained_class"] == row["label"] for row in rows)
    assert all(0 <= row["probability"] <= 1 and row["pointing_game"] is not None for row in rows)
    assert found.pictures.images == len({name.split("#")[0] for name in expected})
    report, place = write_evaluation(found, experiment, workdir)
    assert report["num_explained"] == len(expected)
    assert report["num_images"] == len({name.split("#")[0] for name in expected})
    model = load_trained(experiment, workdir, 20)
    (batch,) = evaluation_batches(source, Resize(32, "squash"), 21)
    scores = np.asarray(model.scores(model(model.normalisation(batch["images"]))))
    shown = [k for k in range(20) if (batch["labels"][:, k] == 1).any()]
    assert [CLASSES[k] for k in shown] == ["cat", "dog", "train"]
    plain = np.mean([plain_average_precision(scores[:, k], batch["labels"][:, k] == 1) for k in shown])
    np.testing.assert_allclose(found.accuracy.trained["ca"], plain, atol=1e-6)
    assert any("17 classes have no picture" in text for text in found.warnings)
    assert report["accuracy"] == {}
    np.testing.assert_allclose(report["mean_average_precision"]["ca"], 100 * plain, atol=1e-4)
    assert "Mean average precision (%, 21 images)" in (place / "report.md").read_text()


def test_a_softmax_is_refused(run, tmp_path):
    experiment = dataclasses.replace(run[0], model=ModelConfig(name="resnet18_small"))
    with pytest.raises(InputError, match="--config.model.score=sigmoid"):
        train(experiment, tmp_path)


def test_an_evaluation_by_a_softmax_is_refused(run):
    experiment, workdir = run
    softmax = dataclasses.replace(experiment, model=ModelConfig(name="resnet18_small"))
    with pytest.raises(InputError, match=r"model\.score"):
        evaluate(softmax, workdir)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"own_protocol": OwnProtocol(explained_class="predicted")}, "explained_class=label"),
        ({"metrics": ("GridPG",)}, "evaluation.metrics has GridPG"),
        ({"maps": "nowhere"}, "nowhere"),
        ({"num_images": 1}, "none of the first pictures of .* shows a class"),
        ({"num_images": 0}, "none of the 1 pictures of .* has a label"),
    ],
)
def test_what_several_labels_cannot_mean_is_refused(run, changes, said):
    experiment, workdir = run
    own = {name: value for name, value in changes.items() if name == "own_protocol"}
    others = {name: value for name, value in changes.items() if name != "own_protocol"}
    if "num_images" in changes:  # pictures without a class come first
        first = open_source(experiment.data.name, "val")
        empty = next(i for i in range(len(first)) if not first[i]["labels"])
        split = f"val[{empty}:{empty + 1}]" if not changes["num_images"] else f"val[{empty}:]"
        others |= {"split": split}
    evaluation = dataclasses.replace(experiment.evaluation, **others)
    with pytest.raises(InputError, match=said):
        evaluate(dataclasses.replace(experiment, evaluation=evaluation, **own), workdir)


def test_a_stopped_evaluation_goes_on_to_the_same_rows(run, monkeypatch):
    experiment, workdir = run
    whole = evaluate(experiment, workdir)

    def refuse(*_):
        raise AssertionError("counted again")

    monkeypatch.setattr(SplitAccuracy, "collect", refuse)
    again = evaluate(experiment, workdir)
    assert again.rows.equals(whole.rows)
    assert again.accuracy.trained == whole.accuracy.trained
    damaged = next(whole.parts.glob("scores-*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with pytest.raises(AssertionError, match="counted again"):
        evaluate(experiment, workdir)
    shutil.rmtree(whole.parts)


def test_the_stream_learns_from_features_that_are_kept(run, tmp_path):
    """Of rows of labels, with smoothing, and asking for the GAP network's answers as well."""
    experiment, workdir = run
    stream = dataclasses.replace(
        experiment.stream, epochs=1, cached_views=1, label_smoothing=0.1, distillation=0.5, validate_every=2
    )
    shutil.copytree(workdir / "checkpoints" / "backbone", tmp_path / "checkpoints" / "backbone")
    train(dataclasses.replace(experiment, stream=stream), tmp_path)
    kept = np.load(tmp_path / "features" / "view-000" / "labels.npy")
    source = open_source(experiment.data.name, "train")
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(kept, source.records.labels)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)


def test_a_dry_run_counts_classes_of_images(run, monkeypatch):
    monkeypatch.setattr(estimate, "measure_rate", lambda *_: 1.0)
    experiment, _ = run
    source = open_source(experiment.data.name, "val")
    explained = sum(len(source[i]["labels"]) for i in range(14))
    assert estimate.estimate(experiment, shown=3).startswith(f"{explained} classes of images, and ")


def test_protocols_and_figures_are_of_one_class(run):
    experiment, workdir = run
    _, counted, _ = measure_protocols(experiment, workdir)
    source = open_source(experiment.data.name, "val")
    shown = [len(source[i]["labels"]) for i in range(14)]
    assert counted == f"{sum(shown)} classes of {np.count_nonzero(shown)} images"
    explained = explain_each_class(source)
    first, second = find_records(explained, ["b_000#dog"], [CLASSES.index("train")], 1)
    assert explained[first]["label"] == CLASSES.index("dog")
    assert explained[second]["id"].endswith("#train")


def test_a_classifier_of_several_labels_is_fitted_to_the_frozen_network(run, tmp_path, caplog):
    experiment, workdir = run
    stage = dataclasses.replace(experiment.stream, epochs=1)
    changes = {"weights": str(workdir), "replace_classifier": True, "stream": stage}
    experiment = dataclasses.replace(experiment, backbone=StageConfig(epochs=0), **changes)
    with pytest.raises(InputError, match="no images that show 17 of its classes"):
        train(experiment, tmp_path / "all")
    (tmp_path / "classes.txt").write_text("dog\ncat\ntrain\n")
    data = dataclasses.replace(experiment.data, classes=str(tmp_path / "classes.txt"))
    caplog.set_level(logging.INFO, "castream_jax")
    model = train(dataclasses.replace(experiment, data=data), tmp_path / "three")
    assert model.class_names == ("dog", "cat", "train")
    (said,) = (text for text in caplog.messages if text.startswith("classifier: fitted to 64 images"))
    assert float(said.split()[-2]) > 80  # colours tell these classes apart
