"""An evaluation from checkpoint to files: its rows are the public functions' numbers, padding never counts."""

import dataclasses
import io
import json
import re
import shutil

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import castream_jax as ca
from castream_jax.compute.masking import upsample
from castream_jax.config import EvaluationConfig, ModelConfig
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches
from castream_jax.data.source import open_source
from castream_jax.errors import InputError
from castream_jax.evaluation import accuracy, estimate, runner
from castream_jax.evaluation import resumable_parts as parts
from castream_jax.evaluation.rows import group_rows
from castream_jax.evaluation.runner import evaluate
from castream_jax.experiment import resolved
from castream_jax.experiment.loading import build_network, load_trained
from castream_jax.metrics.box_accuracy import COLUMNS, OVERLAPS, settle
from castream_jax.report.notes import describe_all
from castream_jax.report.selection import select_images
from castream_jax.report.writing import write_evaluation
from castream_jax.storage.locking import alone_in
from castream_jax.training.loop import train
from tests.demo_data import SIZES
from tests.training.small import small_experiment

pytestmark = [pytest.mark.usefixtures("shallow", "remembered"), pytest.mark.slow]

NULLS = EvaluationConfig().null_maps
EXPLAINED = [(a, p) for a in ("grad_cam", "grad_cam_pp", "score_cam") for p in ("gap", "ca")] + [("attention", "ca")]
KEYS = EXPLAINED + [(a, p) for a in NULLS for p in ("gap", "ca")]


@pytest.fixture(scope="module")
def trained(demo_directory, tmp_path_factory):
    """Return (experiment, workdir) after training."""
    experiment = small_experiment(str(demo_directory))
    workdir = tmp_path_factory.mktemp("run")
    train(experiment, workdir)
    return experiment, workdir


@pytest.fixture(scope="module")
def evaluation(trained):
    """Return what an evaluation of 10 images in batches of 8 finds."""
    return evaluate(*trained)


@pytest.fixture(scope="module")
def light(trained):
    """Return (experiment, workdir) with two methods that ask little, where methods do not matter."""
    experiment, workdir = trained
    config = dataclasses.replace(experiment.evaluation, attributions=("grad_cam", "attention"))
    return dataclasses.replace(experiment, evaluation=config), workdir


@pytest.fixture(scope="module")
def light_evaluation(light):
    """Return what an evaluation of those finds."""
    return evaluate(*light)


def test_one_row_for_each_image_and_map(evaluation):
    rows = evaluation.rows.to_pylist()
    assert len(rows) == 10 * len(KEYS)
    assert [(row["attribution"], row["pooling"]) for row in rows[: len(KEYS)]] == KEYS
    assert [row["id"] for row in rows[:: len(KEYS)]] == [f"test_{i:05d}" for i in range(10)]
    assert all(row["explained_class"] == row["label"] for row in rows)


def test_what_all_images_tell_is_settled(light):
    experiment, workdir = light
    config = dataclasses.replace(experiment.evaluation, metrics=("MaxBoxAcc",))
    rows = evaluate(dataclasses.replace(experiment, evaluation=config), workdir).rows
    alone = 0
    for group in group_rows(rows).values():
        columns = {name: group[name].to_numpy() for name in COLUMNS}
        np.testing.assert_allclose(group["max_box_accuracy"].to_numpy(), settle(columns), atol=1e-6)
        best = np.max(list(columns.values()), axis=0)
        alone += np.mean([best >= overlap for overlap in OVERLAPS]) - group["max_box_accuracy"].to_numpy().mean()
    assert alone > 0  # one threshold for all images is worse than one for each


def test_rows_are_the_public_functions_numbers(trained, evaluation):
    experiment, workdir = trained
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), 10, range(10)))
    networks = load_trained(experiment, workdir, 10).poolings()
    rows = evaluation.rows.to_pylist()
    for m, (attribution, pooling) in enumerate(EXPLAINED):
        network = networks[pooling]
        images = network.normalisation(batch["images"])
        maps = ca.attribute(network, images, batch["labels"], attribution)
        scores = ca.evaluate_maps(network, images, batch["labels"], maps)
        for name, values in scores.items():
            found = np.array([row[name] for row in rows[m :: len(KEYS)]])
            if name.endswith("_curve"):
                # Two programs give the maps: of pixels that differ in the last bits, another may come first.
                apart = np.abs(found - np.asarray(values))
                assert np.mean(apart > 2e-4) <= 0.02, f"{attribution} {pooling} {name}"
                assert apart.max() < 2e-3, f"{attribution} {pooling} {name}"
            else:
                np.testing.assert_allclose(found, values, atol=2e-4, err_msg=f"{attribution} {pooling} {name}")


def test_pictures_are_of_the_images_and_maps_that_rows_are_of(trained, evaluation):
    experiment, workdir = trained
    selection = select_images(evaluation, experiment.evaluation.num_figures)
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), 10, range(10)))
    places = list(selection.places)
    assert places[:3] == [0, 1, 2]  # the grid's
    np.testing.assert_array_equal(selection.heat_maps.images, batch["images"][places])
    assert list(selection.heat_maps.ids) == [batch["ids"][place] for place in places]
    network = load_trained(experiment, workdir, 10)
    images = network.normalisation(batch["images"])
    for attribution in ("grad_cam", "score_cam", "attention"):
        expected = ca.attribute(network, images, batch["labels"], attribution)[np.array(places)]
        np.testing.assert_allclose(selection.heat_maps.maps[attribution, "ca"], expected, atol=2e-3)


def test_accuracies_are_of_the_whole_split(trained, evaluation):
    experiment, workdir = trained
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), len(source)))
    for pooling, network in load_trained(experiment, workdir, 10).poolings().items():
        right = network(network.normalisation(batch["images"])).argmax(1) == batch["labels"]
        assert evaluation.accuracy.trained[pooling] == pytest.approx(float(right.mean()))
    assert evaluation.accuracy.images == len(source)


def test_the_untrained_streams_accuracy_shares_the_trained_backbone(trained, evaluation):
    experiment, workdir = trained
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), len(source)))
    network, model = build_network(experiment, 10), load_trained(experiment, workdir, 10)
    network.backbone, network.classifier = model.backbone, model.classifier
    right = network(network.normalisation(batch["images"])).argmax(1) == batch["labels"]
    assert evaluation.accuracy.untrained == {"ca": pytest.approx(float(right.mean()))}


def test_the_predicted_class_under_rise(trained):
    experiment, workdir = trained
    config = dataclasses.replace(experiment.evaluation, protocol="rise", attributions=("grad_cam",), num_images=4)
    rows = evaluate(dataclasses.replace(experiment, evaluation=config), workdir).rows.to_pylist()
    assert all(row["explained_class"] == row["predicted_class"] for row in rows)
    assert all(len(row["insertion_curve"]) == 33 for row in rows)  # 32 rows of 32 pixels


def test_everything_is_written(trained, evaluation, tmp_path):
    experiment, _ = trained
    report, directory = write_evaluation(evaluation, experiment, tmp_path)
    assert directory == tmp_path / "evaluation" / "castream"
    assert json.loads((directory / "report.json").read_text()) == json.loads(json.dumps(report))
    assert report["num_images"] == 10
    assert set(report["accuracy"]) == {"gap", "ca"}
    assert set(report["rows"][0]) >= {"attribution", "pooling", "AD", "AG", "AI", "I", "D", "PG", "EPG"}
    rows = pq.read_table(directory / "rows.parquet")
    drops = np.array(rows["average_drop"].to_pylist()).reshape(10, len(KEYS)).mean(0)
    np.testing.assert_allclose([row["AD"] for row in report["rows"]], 100 * drops, rtol=1e-5)
    for name in ("report.md", "report.html", "figures/grid.png", "figures/curves.png"):
        assert (directory / name).stat().st_size > 500


def test_a_gap_network_alone(trained):
    experiment, workdir = trained
    gap = dataclasses.replace(
        experiment,
        model=dataclasses.replace(experiment.model, pooling="gap"),
        evaluation=dataclasses.replace(experiment.evaluation, num_images=3),
    )
    evaluation = evaluate(gap, workdir)
    assert set(evaluation.accuracy.trained) == {"gap"}
    assert evaluation.accuracy.untrained == {}
    assert set(evaluation.rows["pooling"].to_pylist()) == {"gap"}
    assert "attention" not in set(evaluation.rows["attribution"].to_pylist())


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("evaluation", {"protocol": "castrem"}, "Did you mean 'castream'"),
        ("evaluation", {"attributions": ("gradcam",)}, "Did you mean 'grad_cam'"),
        ("evaluation", {"attributions": ("grad_cam", "score_cam", "grad_cam")}, "'grad_cam' is named 2 times"),
        ("evaluation", {"split": "tests"}, "Did you mean 'test'"),
        ("evaluation", {"target": "stage5"}, "Did you mean 'stage4'"),
        ("model", {"heads": 2, "name": "resnet18"}, "of another network"),
    ],
)
def test_mistakes_are_named(trained, part, changes, said):
    experiment, workdir = trained
    changed = dataclasses.replace(experiment, **{part: dataclasses.replace(getattr(experiment, part), **changes)})
    with pytest.raises(InputError, match=said):
        evaluate(changed, workdir)


def test_a_gap_network_has_no_raw_attention(trained):
    experiment, workdir = trained
    changed = dataclasses.replace(
        experiment,
        model=dataclasses.replace(experiment.model, pooling="gap"),
        evaluation=dataclasses.replace(experiment.evaluation, attributions=("attention", "attention_scores")),
    )
    with pytest.raises(InputError, match="nothing to explain: attention, attention_scores needs a stream"):
        evaluate(changed, workdir)


def test_a_missing_checkpoint_says_how_to_make_one(demo_directory, tmp_path):
    with pytest.raises(InputError, match=r"train a network first"):
        evaluate(small_experiment(str(demo_directory), model=ModelConfig(name="resnet18_small")), tmp_path)
    assert not list(tmp_path.iterdir())


def small_parts(monkeypatch):
    """Make parts of one batch each: 10 images in two, and those of the accuracies."""
    monkeypatch.setattr(parts, "IMAGES", 1)
    monkeypatch.setattr(accuracy, "IMAGES", 1)


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(light, tmp_path, monkeypatch):
    experiment, workdir = light
    small_parts(monkeypatch)
    for name in ("whole", "killed"):
        shutil.copytree(workdir / "checkpoints", tmp_path / name / "checkpoints")
    whole = evaluate(experiment, tmp_path / "whole")
    write_evaluation(whole, experiment, tmp_path / "whole")

    place = tmp_path / "killed" / "evaluation" / "castream"
    kill_after_one(monkeypatch, parts.RowParts, experiment, tmp_path / "killed")
    assert len(list(place.glob("parts-*/*.parquet"))) == 1
    assert not list(place.glob("parts-*/accuracy*"))
    kill_after_one(monkeypatch, accuracy.AccuracyParts, experiment, tmp_path / "killed")
    assert [path.name for path in place.glob("parts-*/accuracy*")] == ["accuracy-00000000-00000008.json"]
    write_evaluation(evaluate(experiment, tmp_path / "killed"), experiment, tmp_path / "killed")
    for name in ("rows.parquet", "figures/grid.png"):
        assert (place / name).read_bytes() == (whole_place(tmp_path) / name).read_bytes()
    pages = [(found / "report.html").read_text() for found in (place, whole_place(tmp_path))]
    first, second = (re.sub('<th scope="row">time</th><td>.*</td>', "", page) for page in pages)
    assert first == second
    assert not list(place.glob("parts-*"))


class Killed(Exception):
    pass


def kill_after_one(monkeypatch, kind: type, experiment, workdir):
    """Run an evaluation that ends as soon as one part of a kind is written."""
    real = kind.write

    def write_one(self, *arguments):
        real(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(kind, "write", write_one)
        with pytest.raises(Killed):
            evaluate(experiment, workdir)


@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_damaged_part_is_computed_again(light, light_evaluation, tmp_path, monkeypatch, caplog, suffix):
    experiment, workdir = light
    small_parts(monkeypatch)
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    kill_after_one(monkeypatch, parts.RowParts, experiment, tmp_path)
    for damaged in (tmp_path / "evaluation" / "castream").glob(f"parts-*/*.{suffix}"):
        damaged.write_bytes(damaged.read_bytes()[:-9])
    assert evaluate(experiment, tmp_path).rows.equals(light_evaluation.rows)
    assert "cannot be read" in caplog.text


def test_a_part_of_other_data_is_not_taken_up(light, tmp_path, monkeypatch, caplog):
    """The same names, classes and numbers; other pictures."""
    experiment, workdir = light
    small_parts(monkeypatch)
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    source = open_source("castream_demo", "test", experiment.data.directory)
    runs = []
    for name, first in (("a", 0), ("b", 20)):
        for i in range(10):
            path = tmp_path / name / "test" / f"class {i}" / "picture.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(source[first + i]["image"])
        data = dataclasses.replace(experiment.data, name="image_folder", directory=str(tmp_path / name))
        runs.append(dataclasses.replace(experiment, data=data))
    kill_after_one(monkeypatch, parts.RowParts, runs[0], tmp_path)
    second = evaluate(runs[1], tmp_path)
    assert "does not go on with it" in caplog.text
    shutil.rmtree(second.parts)
    assert evaluate(runs[1], tmp_path).rows.equals(second.rows)


def turned_copy(experiment, root, turned, **changes):
    """Return the experiment on an image folder of demo pictures, of which the first `turned` are stored lying down."""
    source = open_source("castream_demo", "test", experiment.data.directory)
    for i in range(10):
        path = root / "test" / f"class {i}" / "picture.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(io.BytesIO(source[i]["image"]))
        exif = Image.Exif()
        if i < turned:
            image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
        image.save(path, exif=exif)
    data = dataclasses.replace(experiment.data, name="image_folder", directory=str(root), **changes)
    return dataclasses.replace(experiment, data=data)


def test_oriented_pictures_are_counted_and_hashed(light, tmp_path, monkeypatch):
    """Upright, they are what they were; stored, other images; and the report says so, after a kill too."""
    experiment, workdir = light
    small_parts(monkeypatch)
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    found = {}
    for name, turned, orientation in (("plain", 0, "upright"), ("upright", 6, "upright"), ("stored", 6, "stored")):
        run = turned_copy(experiment, tmp_path / f"turned {turned}", turned, orientation=orientation)
        if name == "upright":
            kill_after_one(monkeypatch, parts.RowParts, run, tmp_path)
            kill_after_one(monkeypatch, accuracy.AccuracyParts, run, tmp_path)
        found[name] = evaluate(run, tmp_path)
        report, _ = write_evaluation(found[name], run, tmp_path)
        counts = {"images": 10, "oriented": turned, "transparent": 0}
        assert report["pictures"]["measured"] == report["pictures"]["accuracy"] == counts
        said = [note for note in describe_all(report) if "EXIF" in note]
        assert len(said) == bool(turned)
    assert said == [
        "Pictures: of 10 pictures, 6 with an EXIF orientation taken as they are stored, not upright "
        "(data.orientation=stored)."
    ]
    assert found["upright"].rows.equals(found["plain"].rows)
    assert not found["stored"].rows.equals(found["plain"].rows)
    hashes = {name: evaluation.protocol.hash for name, evaluation in found.items()}
    assert hashes["plain"] == hashes["stored"] == "17fcc097"  # the protocol's own choice, and none that mattered
    assert hashes["upright"] != "17fcc097"
    assert report["protocol_choices"]["orientation"] == "stored"


def test_training_says_what_it_met(trained, tmp_path, caplog):
    experiment, _ = trained
    run = turned_copy(experiment, tmp_path / "pictures", 6)
    stage = dataclasses.replace(experiment.stream, epochs=1, batch_size=8)
    data = dataclasses.replace(run.data, train_split="test", validation_split="test")
    run = dataclasses.replace(run, data=data, backbone=stage, stream=dataclasses.replace(stage, epochs=0))
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, pooling="gap"))
    caplog.set_level("INFO")
    train(run, tmp_path / "run")
    for split in ("training", "validation"):
        assert f"{split}: of 10 pictures, 6 with an EXIF orientation turned upright" in caplog.text


def test_two_evaluations_at_once_are_refused(light, tmp_path):
    experiment, workdir = light
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    place = tmp_path / "evaluation" / "castream"
    with alone_in(place, "evaluating"), pytest.raises(InputError, match="another process is evaluating in"):
        evaluate(experiment, tmp_path)


def whole_place(tmp_path):
    return tmp_path / "whole" / "evaluation" / "castream"


def test_devices_and_processes_find_the_same_rows(light, light_evaluation, tmp_path, monkeypatch):
    """One device; and two processes, one after the other, that meet at the end."""
    experiment, workdir = light
    small_parts(monkeypatch)
    assert jax.device_count() == 8
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    shutil.copytree(workdir / "checkpoints", tmp_path / "one" / "checkpoints")
    with monkeypatch.context() as patch:
        patch.setattr(resolved, "create_local_mesh", lambda: mesh)
        assert_rows_close(evaluate(experiment, tmp_path / "one").rows, light_evaluation.rows)
    model = load_trained(experiment, workdir, 10)
    with monkeypatch.context() as patch:
        patch.setattr(jax, "process_count", lambda: 2)
        patch.setattr(runner, "wait_for_all", lambda _: None)
        for module in (runner, resolved):
            patch.setattr(module, "first_process", lambda answer: answer)
        patch.setattr(resolved, "load_trained", lambda *_: model)
        for process in (1, 0):
            patch.setattr(jax, "process_index", lambda process=process: process)
            found = evaluate(experiment, tmp_path / "two")
            assert (found is None) == (process == 1)
    assert_rows_close(found.rows, light_evaluation.rows)


def assert_rows_close(found, expected):
    assert found.schema == expected.schema
    for name in expected.column_names:
        first, second = found[name].to_pylist(), expected[name].to_pylist()
        if isinstance(second[0], (float, list)):
            np.testing.assert_allclose(np.array(first, float), np.array(second, float), atol=1e-5, err_msg=name)
        else:
            assert first == second


def test_what_was_saved_is_counted(evaluation):
    passes = evaluation.cost.report()
    assert set(passes) == {"made", "without_sharing", "shared_trunk", "dead_channels", "shared_ends"}
    points = 32 * 32 // (8 * 32) + 1
    # Of each map p, o, what both curves end in beside p, and their inner points; of an explained one its features too.
    plain = len(EXPLAINED) + len(KEYS) * (2 + 2 + 2 * (points - 2)) + 2 * 128
    split = evaluation.accuracy.images
    assert passes["without_sharing"] == 10 * plain + 8 * 2 + 3 * split  # and the black image, as below
    each = 3 + (len(EXPLAINED) + len(NULLS)) * (1 + 2 * (points - 2)) + 128
    constants = 2 * 8 * 2  # the zero and the black image of each device in both batches
    assert passes["made"] == 10 * each - passes["dead_channels"] + constants + split


def test_pruning_is_reported_with_its_bound(pruned):
    experiment, _, evaluation = pruned
    for row in evaluation.rows.to_pylist():
        if row["attribution"] == "score_cam":
            assert 0 < row["score_cam_bound"] <= experiment.evaluation.score_cam_tolerance
            assert 0 < row["score_cam_left_out"] < 1
        else:
            assert row["score_cam_bound"] is None
    assert evaluation.cost.pruning > 0


@pytest.fixture(scope="module")
def pruned(trained):
    """Return (experiment, workdir, evaluation) with a tolerance."""
    experiment, workdir = trained
    config = dataclasses.replace(experiment.evaluation, score_cam_tolerance=0.2, attributions=("score_cam",), chunk=8)
    experiment = dataclasses.replace(experiment, evaluation=config)
    return experiment, workdir, evaluate(experiment, workdir)


def test_one_device_leaves_out_what_eight_do(pruned, tmp_path, monkeypatch):
    experiment, workdir, evaluation = pruned
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.setattr(resolved, "create_local_mesh", lambda: mesh)
    assert_rows_close(evaluate(experiment, tmp_path).rows, evaluation.rows)


def test_null_maps_stand_beside(evaluation):
    rows = [row for row in evaluation.rows.to_pylist() if row["attribution"] == "constant"]
    assert all(row["average_drop"] == row["average_gain"] == row["average_increase"] == 0 for row in rows)
    assert all(0 <= row["pointing_game"] <= 1 for row in rows)


def test_where_maps_point_is_what_numpy_finds(trained, evaluation):
    """Inside the large compiled program, too."""
    experiment, workdir = trained
    assert evaluation.settings["truth"] == "masks"
    source = open_source("castream_demo", "test", experiment.data.directory)
    batch = next(evaluation_batches(source, Resize(32, "squash"), 10, range(10), with_truth=True))
    truth = batch["truth"]
    network = load_trained(experiment, workdir, 10)
    images = network.normalisation(batch["images"])
    for attribution in ("grad_cam", "attention"):
        maps = np.asarray(upsample(ca.attribute(network, images, batch["labels"], attribution), (32, 32)))
        chosen = maps >= 0.5
        whole = maps.sum((1, 2))  # of a flat map, the same everywhere, the share of the area
        expected = {
            "energy_pointing_game": np.where(
                whole > 0, (maps * truth).sum((1, 2)) / np.where(whole > 0, whole, 1), truth.mean((1, 2))
            ),
            "iou_fixed": (chosen & truth).sum((1, 2)) / (chosen | truth).sum((1, 2)),
        }
        keys = ("attribution", "pooling")
        rows = [row for row in evaluation.rows.to_pylist() if tuple(row[k] for k in keys) == (attribution, "ca")]
        for name, values in expected.items():
            np.testing.assert_allclose([row[name] for row in rows], values, atol=0.02, err_msg=name)
        assert all(0 <= row[name] <= 1 for row in rows for name in (*expected, "iou_best", "pointing_game"))
        assert all(row["iou_best"] >= row["iou_fixed"] - 1e-6 for row in rows)


def test_a_dry_run_promises_no_less_than_is_made(trained, evaluation, monkeypatch):
    """The images of the report come on top, in whole batches: the count of passes made leaves them out."""
    monkeypatch.setattr(estimate, "CALIBRATION", 0.1)
    said = estimate.estimate(trained[0], shown=36)
    total = int(re.search(r"([\d,]+) in all", said)[1].replace(",", ""))
    assert evaluation.cost.made < total < 3 * evaluation.cost.made


def test_accuracies_may_be_of_the_explained_images_alone(light, light_evaluation, tmp_path):
    experiment, workdir = light
    copy = shutil.copytree(workdir, tmp_path / "copy", ignore=shutil.ignore_patterns("evaluation"))
    config = dataclasses.replace(experiment.evaluation, accuracy_of="explained")
    found = evaluate(dataclasses.replace(experiment, evaluation=config), copy)
    assert (found.accuracy.images, light_evaluation.accuracy.images) == (10, SIZES["test"])
    assert found.rows.equals(light_evaluation.rows)
