"""A study's table and picture of made-up reports, and what of it is done."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
from PIL import Image

from castream_jax import InputError
from castream_jax.cli import study
from castream_jax.config import DataConfig, Experiment, ModelConfig, StageConfig, from_dict
from castream_jax.study import finished
from castream_jax.study.finished import find_finished, mark_finished
from castream_jax.study.picture import draw_study, find_colours, find_range
from castream_jax.study.results import Result, read_results
from castream_jax.study.table import render_table

POOLINGS = ("gap", "ca", "gem(p=4)")
EXPERIMENT = Experiment(
    name="first", model=ModelConfig(name="resnet18_small", pooling=POOLINGS), backbone=StageConfig(epochs=1)
)


def difference(interval: list[float], survives: bool, images: int = 100):
    """Return what a report says of a difference from GAP."""
    return {"mean": sum(interval) / 2, "interval": interval, "survives_holm": survives, "images": images}


def write_report(file, shift: float = 0.0, gap: float = 0.0):
    """Write what a study reads of a report: two maps under three poolings, the null map left out."""
    lines = [
        {"attribution": attribution, "pooling": pooling, "AD": 10.0 * m + p + (shift if p else gap), "AG": None}
        for m, attribution in enumerate(("grad_cam", "random"))
        for p, pooling in enumerate(POOLINGS)
    ]
    differences = [
        {"attribution": "grad_cam", "pooling": "ca", "AD": difference([0.5, 1.5], True)},
        {"attribution": "grad_cam", "pooling": "gem(p=4)", "AD": difference([-0.5, 1.5], False)},
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    accuracy = {"gap": 90.0, "ca": 91.5, "gem(p=4)": 80.0}
    file.write_text(json.dumps({"rows": lines, "differences": differences, "accuracy": accuracy}))
    return file


@pytest.fixture
def results(tmp_path) -> list[Result]:
    """Return what two experiments found."""
    other = dataclasses.replace(EXPERIMENT, name="second")
    return read_results(
        {
            "first": (EXPERIMENT, tmp_path / "first", write_report(tmp_path / "first" / "report.json")),
            "second": (other, tmp_path / "second", write_report(tmp_path / "second" / "report.json", 5)),
        }
    )


def test_gap_stands_once_and_each_pooling_under_its_experiment(results):
    titles = [result.title for result in results]
    assert titles == ["GAP", "first: CA", "first: GeM (p=4)", "second: CA", "second: GeM (p=4)"]
    assert results[3].means == {"grad_cam": {"AD": 6.0, "AG": None}}


def test_a_gap_network_that_is_measured_otherwise_has_its_own_line(tmp_path):
    other = dataclasses.replace(EXPERIMENT, name="second")
    found = read_results(
        {
            "first": (EXPERIMENT, tmp_path / "first", write_report(tmp_path / "first" / "report.json")),
            "second": (other, tmp_path / "second", write_report(tmp_path / "second" / "report.json", 5, gap=5)),
        }
    )
    assert [result.title for result in found if result.pooling == "gap"] == ["GAP", "second: GAP"]


def test_accuracies_are_those_of_the_report(results):
    assert [result.accuracy for result in results[:3]] == [90.0, 91.5, 80.0]


def test_the_table_marks_what_differs_from_gap(results):
    lines = render_table("placement", results).splitlines()
    assert "| first: CA | **1.00**† | — |" in lines
    assert "| first: GeM (p=4) | 2.00 | — |" in lines
    assert "| GAP | 0.00 | — |" in lines
    few = dataclasses.replace(results[1], differences={"grad_cam": {"AD": difference([0.5, 1.5], True, images=10)}})
    assert "| first: CA | 1.00 | — |" in render_table("placement", [results[0], few]).splitlines()
    assert not any("random" in line.lower() for line in lines)


def test_the_picture_is_drawn(results, tmp_path):
    draw_study(results, tmp_path / "study.png")
    with Image.open(tmp_path / "study.png") as picture:
        assert picture.width == 1400
        assert picture.convert("RGB").getpixel((3, 3)) == (255, 255, 255)
        assert len(picture.convert("RGB").getcolors(2**20) or []) > 50
    assert len(set(find_colours(results))) == len(results)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([93.9, 93.3, 26.5, 93.5, 93.1, 93.6, 93.4], (93.1, 93.9)),
        ([1.0, 2.0, 3.0, 4.0], (1.0, 4.0)),
        ([5.0, 5.0, 5.0, 5.0, 90.0], (5.0, 90.0)),
        ([7.0], (6.0, 8.0)),
        ([], (0.0, 1.0)),
    ],
)
def test_a_panel_leaves_out_what_is_far_from_all_others(values, shown):
    assert find_range(values) == shown


@pytest.fixture
def pictures(monkeypatch):
    """Let splits have digests, which a test may change."""
    digests = {"train": "a", "test": "b"}

    def opened(data, split):
        return SimpleNamespace(digest=lambda: digests.get(split, "c"))

    monkeypatch.setattr(finished, "open_split", opened)
    return digests


def test_what_is_done_is_known_by_settings_pictures_and_code(tmp_path, pictures):
    report = write_report(tmp_path / "evaluation" / "report.json")
    assert find_finished(tmp_path, EXPERIMENT) is None
    mark_finished(tmp_path, EXPERIMENT, report)
    assert find_finished(tmp_path, EXPERIMENT) == report
    assert find_finished(tmp_path, dataclasses.replace(EXPERIMENT, seed=1)) is None
    pictures["train"] = "others"
    assert find_finished(tmp_path, EXPERIMENT) is None
    pictures["train"] = "a"
    assert find_finished(tmp_path, EXPERIMENT) == report
    write_report(report, shift=1)  # another evaluation in this work directory
    assert find_finished(tmp_path, EXPERIMENT) is None
    report.unlink()
    assert find_finished(tmp_path, EXPERIMENT) is None


def test_the_report_is_where_the_evaluation_says(tmp_path, monkeypatch, pictures):
    asked = []
    place = tmp_path / "evaluation" / "castream-some.weights" / "report.json"
    monkeypatch.setattr(study, "train", lambda experiment, workdir: asked.append(workdir))
    monkeypatch.setattr(study, "evaluate_network", lambda experiment, workdir, dry_run: write_report(place))
    assert study.finish(EXPERIMENT, tmp_path) == place
    assert study.finish(EXPERIMENT, tmp_path) == place
    assert asked == [tmp_path]


def test_what_has_nothing_to_train_is_only_measured(tmp_path, monkeypatch, pictures):
    monkeypatch.setattr(study, "train", lambda *_: pytest.fail("it was trained"))
    monkeypatch.setattr(
        study, "evaluate_network", lambda experiment, workdir, dry_run: write_report(tmp_path / "report.json")
    )
    model = ModelConfig(name="resnet18_small", pooling="max, ca(trained=false)")
    untrained = dataclasses.replace(EXPERIMENT, model=model, weights="some", backbone=StageConfig(epochs=0))
    assert study.finish(untrained, tmp_path) == tmp_path / "report.json"


def test_what_is_changed_of_the_first_is_changed_of_all(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(study, "finish", lambda experiment, workdir: seen.append(experiment))
    monkeypatch.setattr(study, "read_results", lambda experiments: [])
    monkeypatch.setattr(study, "draw_study", lambda results, path: None)
    first = from_dict(study.load_config(study.find_config("studies/placement")))
    first = dataclasses.replace(first, data=dataclasses.replace(first.data, image_size=64), name="mine")
    study.run_study(first, tmp_path, ["demo"], ["castream study", "--config=studies/placement"])
    assert [(each.name, each.data.image_size) for each in seen] == [("mine", 64), ("demo", 64)]
    assert seen[1].stream == from_dict(study.load_config(study.find_config("demo"))).stream


def test_a_second_experiment_starts_from_the_first_ones_trunk(tmp_path):
    other = dataclasses.replace(EXPERIMENT, name="second", stream=StageConfig(epochs=3))
    shared = study.share_trunk(other, EXPERIMENT, tmp_path)
    assert (shared.weights, shared.backbone.epochs) == (str(tmp_path / "checkpoints" / "backbone"), 0)
    for different in (
        dataclasses.replace(other, seed=1),
        dataclasses.replace(other, data=DataConfig(name="another")),
        dataclasses.replace(other, model=ModelConfig(name="resnet18")),
    ):
        assert study.share_trunk(different, EXPERIMENT, tmp_path) == different


def test_a_study_is_named_with_or_without_a_flag(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        study, "run_study", lambda experiment, workdir, arguments, argv: seen.append((experiment.name, arguments))
    )
    monkeypatch.chdir(tmp_path)
    study.main(["castream study", "configs/studies/placement.py"])
    study.main(["castream study", "--workdir", "here", "studies/placement", "demo"])
    study.main(["castream study", "--config=studies/placement", "--config.model.pooling=ca", "demo"])
    study.main(["castream study", "--config.data.name", "elsewhere", "studies/placement"])
    assert seen == [("placement", []), ("placement", ["demo"]), ("placement", ["demo"]), ("placement", [])]


def test_a_config_that_is_not_named_ends_in_a_message(capsys):
    with pytest.raises(SystemExit) as ended:
        study.main(["castream study", "--config"])
    assert ended.value.code == 2
    assert "--config needs a file or a name" in capsys.readouterr().err


def test_two_experiments_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="two experiments of the study are called 'demo'"):
        study.run_study(dataclasses.replace(EXPERIMENT, name="demo"), tmp_path, ["demo"], ["castream study"])
