"""Which settings may change between the runs of a stage: every one is either decisive or on the list."""

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from castream_jax.config import Experiment, StageConfig
from castream_jax.data.source import Source, open_split
from castream_jax.errors import InputError
from castream_jax.training.resume import check_same_run, decisive_settings, describe_run, flatten_settings

SOURCE = Source("pets", "train", range(100), ("cat", "dog"))
EXPERIMENT = Experiment(name="x", weights="", backbone=StageConfig(epochs=1), stream=StageConfig(epochs=2))
MAY_CHANGE = {
    *("name", "data.directory", "data.workers", "data.validation_split", "data.on_bad_record"),
    *("log.hook", "log.num_pictures", "data.boxes", "data.boxes_of", "data.truth", "data.classes"),
    *(f"{stage}.{key}" for stage in ("backbone", "stream") for key in ("log_every", "validate_every", "save_every")),
}


def test_every_setting_but_those_on_the_list_is_decisive():
    settings = {name for name in flatten_settings(EXPERIMENT.to_dict()) if not name.startswith("evaluation.")}
    assert settings - set(decisive_settings(EXPERIMENT, "stream")) == MAY_CHANGE | {"weights"}
    backbone = set(decisive_settings(EXPERIMENT, "backbone"))
    also = {name for name in settings if name.startswith("stream.")} | {
        "model.pooling",
        "model.heads",
        "model.stream_init",
    }
    assert settings - backbone == MAY_CHANGE | also


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("data", {"name": "cifar10"}, r"data.name \('imagenet2012' there, 'cifar10' here\)"),
        ("model", {"name": "resnet18"}, "model.name"),
        ("stream", {"learning_rate": 1.0}, "stream.learning_rate"),
    ],
)
def test_other_settings_are_refused(part, changes, said):
    saved = describe_run(EXPERIMENT, "stream", 3, SOURCE)
    changed = dataclasses.replace(EXPERIMENT, **{part: dataclasses.replace(getattr(EXPERIMENT, part), **changes)})
    with pytest.raises(InputError, match=said):
        check_same_run(saved, changed, "stream", SOURCE, Path("run/checkpoints/stream"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (dataclasses.replace(SOURCE, records=range(101)), r"dataset: images \(100 there, 101 here\)"),
        (dataclasses.replace(SOURCE, class_names=("cat", "hog")), "dataset: class names"),
    ],
)
def test_another_dataset_of_the_same_name_is_refused(source, said):
    saved = describe_run(EXPERIMENT, "stream", 3, SOURCE)
    with pytest.raises(InputError, match=said):
        check_same_run(saved, EXPERIMENT, "stream", source, Path("run/checkpoints/stream"))


def test_other_versions_are_said_and_allowed(caplog):
    saved = describe_run(EXPERIMENT, "stream", 3, SOURCE)
    check_same_run(saved, EXPERIMENT, "stream", SOURCE, Path("run"))
    assert caplog.text == ""
    saved["versions"]["jax"] = "0.1"
    check_same_run(saved, EXPERIMENT, "stream", SOURCE, Path("run"))
    assert "jax 0.1 -> " in caplog.text


def test_a_dataset_that_was_moved_is_the_same_and_another_is_not(tmp_path):
    def put(place: Path, colour: int) -> tuple[Experiment, Source]:
        for name in ("cat", "dog"):
            (place / "train" / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), (colour, i, 0)).save(place / "train" / name / f"{i}.png")
        data = dataclasses.replace(EXPERIMENT.data, name=str(place))
        return dataclasses.replace(EXPERIMENT, data=data), open_split(data, "train")

    experiment, source = put(tmp_path / "here", 7)
    saved = describe_run(experiment, "stream", 3, source)
    check_same_run(saved, *first_and_last(put(tmp_path / "there", 7)), Path("run"))
    with pytest.raises(InputError, match="data.name"):
        check_same_run(saved, *first_and_last(put(tmp_path / "other", 8)), Path("run"))
    del saved["dataset"]["content of some (sha256)"]  # of an older checkpoint
    with pytest.raises(InputError, match="data.name"):
        check_same_run(saved, *first_and_last(put(tmp_path / "again", 7)), Path("run"))


def test_changed_labels_are_noticed(tmp_path):
    """Those of pictures that are not sampled, too."""
    for i in range(200):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:03d}.png")

    def put(changed: str = "") -> tuple[Experiment, Source]:
        names = [f"{i:03d}.png" for i in range(200)]
        rows = [f"{name},{('cat', 'dog')[(name < '100.png') ^ (name == changed)]}" for name in names]
        (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
        data = dataclasses.replace(EXPERIMENT.data, name=str(tmp_path))
        return dataclasses.replace(EXPERIMENT, data=data), open_split(data, "all[:90%]")

    experiment, source = put()
    saved = describe_run(experiment, "stream", 3, source)
    sampled, other = source[0]["id"], source[1]["id"]
    check_same_run(saved, *first_and_last(put()), Path("run"))
    with pytest.raises(InputError, match=r"dataset: content of some \(sha256\) .*dataset: labels"):
        check_same_run(saved, *first_and_last(put(sampled)), Path("run"))
    with pytest.raises(InputError, match=r"data: dataset: labels \(sha256\)"):
        check_same_run(saved, *first_and_last(put(other)), Path("run"))
    for name in ("content of some (sha256)", "labels (sha256)"):  # an older checkpoint has neither
        del saved["dataset"][name]
    check_same_run(saved, *first_and_last(put(other)), Path("run"))


def first_and_last(pair: tuple[Experiment, Source]) -> tuple[Experiment, str, Source]:
    return pair[0], "stream", pair[1]
