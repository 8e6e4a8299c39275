"""PASCAL VOC as it is downloaded: labels, boxes and masks of made-up pictures, and what is refused."""

import dataclasses
import os
import shutil

import numpy as np
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.bad_records import describe_truth, read_picture, says_where_objects_are
from castream_jax.data.explained_classes import check_labels_there, explain_each_class
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import evaluation_batches, training_batches
from castream_jax.data.source import open_source, open_split
from castream_jax.data.sources.voc_folder import CLASSES
from castream_jax.errors import InputError
from tests.data.made_up import encode, write_voc

CAT, DOG, FAR = ("cat", (2, 3, 20, 22), False), ("dog", (5, 25, 30, 44), False), ("dog", (0, 0, 5, 5), True)
EVERY = [(name, (0, 2 * i, 30, 2 * i + 2), False) for i, name in enumerate(CLASSES)]
VAL = {"v0": [CAT, DOG], "v1": [FAR], "v2": [], "v3": EVERY, "v4": [DOG, FAR, CAT, ("cat", (24, 0, 31, 9), False)]}
LABELS = {"v0": {"cat": 1, "dog": 1}, "v1": {"dog": 2}, "v2": {}, "v3": dict.fromkeys(CLASSES, 1)}
LABELS["v4"] = LABELS["v0"]
NEAREST = ((np.arange(48) + 0.5) * 32 / 48).astype(int)
"""Rows of a picture that a square of its width takes."""


@pytest.fixture
def place(tmp_path):
    write_voc(tmp_path, {"train": {"t0": [CAT], "t1": [DOG]}, "val": VAL}, segmented=("v0", "v4"))
    return tmp_path


def row(said: dict[str, int]) -> list[int]:
    return [said.get(name, 0) for name in CLASSES]


def test_the_classes_are_in_the_order_of_the_alphabet():
    assert list(CLASSES) == sorted(CLASSES)
    assert len(CLASSES) == 20


@pytest.mark.parametrize("inside", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
@pytest.mark.parametrize("split", ["val", "validation"])
def test_it_opens_from_any_of_its_folders(place, inside, split):
    source = open_source(str(place / inside), split)
    assert source.has_several_labels
    assert source.class_names == CLASSES
    assert sorted(source[i]["id"] for i in range(5)) == list(VAL)


@pytest.mark.parametrize("listed", [True, False], ids=["by lists", "by annotations"])
def test_labels_are_those_of_the_lists_and_of_the_objects(place, listed):
    if not listed:
        for file in (place / "VOCdevkit/VOC2012/ImageSets/Main").glob("*_val.txt"):
            file.unlink()
    source = open_source(str(place), "val")
    (batch,) = evaluation_batches(source, Resize(16, "squash"), 6)
    assert batch["labels"].dtype == np.uint8
    found = dict(zip(batch["ids"].tolist(), batch["labels"].tolist(), strict=True))
    assert found == {name: row(said) for name, said in LABELS.items()} | {"": row({})}
    assert batch["valid"].tolist() == [True] * 5 + [False]


def test_training_batches_hold_rows(place):
    batches = training_batches(open_source(str(place), "train"), DataConfig(image_size=16), 2, seed=0)
    batch = next(batches)
    batches.close()
    assert batch["labels"].dtype == np.uint8
    assert sorted(batch["labels"].tolist()) == sorted([row({"cat": 1}), row({"dog": 1})])


def test_training_needs_no_boxes_or_masks(place):
    root = place / "VOCdevkit/VOC2012"
    (root / "Annotations/t0.xml").write_text("<annotation>")
    (root / "SegmentationClass/t1.png").mkdir()
    source = open_split(DataConfig(name=str(place)), "train")
    assert [sorted(source[i]) for i in range(2)] == [["id", "image", "labels", "unsure_labels"]] * 2
    digest = source.digest()
    (root / "Annotations/t0.xml").unlink()
    assert open_split(DataConfig(name=str(place)), "train").digest() == digest


def explained(place, truth: str = "dataset", split: str = "val"):
    return explain_each_class(open_split(DataConfig(name=str(place), truth=truth), split, with_boxes=True))


def test_one_class_a_record_with_its_own_boxes(place, caplog):
    source = explained(place)
    records = [source[i] for i in range(len(source))]
    expected = [("v0", "cat"), ("v0", "dog"), ("v4", "cat"), ("v4", "dog"), *(("v3", name) for name in CLASSES)]
    assert sorted(record["id"] for record in records) == sorted(f"{name}#{shown}" for name, shown in expected)
    assert all(CLASSES[record["label"]] == record["id"].split("#")[1] for record in records)
    assert "2 of the 5 pictures" in caplog.text
    boxes = {record["id"]: record["bbox"] for record in records}
    np.testing.assert_allclose(boxes["v0#cat"], [[2 / 32, 3 / 48, 20 / 32, 22 / 48]])
    assert len(boxes["v4#cat"]) == len(boxes["v4#dog"]) == 2  # the difficult dog is a dog, too
    assert says_where_objects_are(source)
    place_of = [record["id"] for record in records].index("v0#dog")
    mask = read_picture(source, place_of, Resize(48, "squash"))[2]
    there = np.zeros((32, 48), bool)
    there[5:30, 25:44] = True
    np.testing.assert_array_equal(mask, there[NEAREST])
    assert source.locate(place_of).endswith("JPEGImages/v0.jpg")


def test_masks_of_a_class_alone(place):
    source = explained(place, "masks", "Segmentation/val")
    assert len(source) == 4
    for i in range(4):
        record = source[i]
        assert "bbox" not in record
        mask = read_picture(source, i, Resize(48, "squash"))[2]
        things = [box for name, box, _ in VAL[record["id"].split("#")[0]] if name == record["id"].split("#")[1]]
        there, drawn_over = np.zeros((32, 48), bool), VAL[record["id"].split("#")[0]]
        for top, left, bottom, right in things:
            there[top:bottom, left:right] = True
        if len(drawn_over) == 2:  # where no other object's border lies over it
            np.testing.assert_array_equal(mask, there[NEAREST])
        assert mask.any()
        assert not (mask & ~there[NEAREST]).all()


def test_pictures_without_a_mask_say_so(place):
    source = explained(place, "masks")
    assert says_where_objects_are(source)
    assert [describe_truth(explained(place, truth)) for truth in ("masks", "boxes", "dataset")] == [
        *("masks", "boxes", "boxes")
    ]
    (batch,) = evaluation_batches(source, Resize(16, "squash"), len(source), with_truth=True)
    known = {name.split("#")[0] for name, truth in zip(batch["ids"].tolist(), batch["truth"]) if truth.any()}
    assert known == {"v0", "v4"}


def test_the_digest_is_that_of_what_is_said(place):
    def digest(**changes):
        return open_split(DataConfig(name=str(place), **changes), "val", with_boxes=True).digest()

    digests = [digest(), digest(truth="boxes"), digest(truth="masks"), explained(place).digest()]
    shutil.copytree(place, place / "copy")
    assert open_source(str(place / "copy" / "VOCdevkit"), "val").digest() == digests[0]
    file = place / "VOCdevkit/VOC2012/Annotations/v0.xml"
    file.write_text(file.read_text().replace("<xmin>3<", "<xmin>4<"))
    digests.append(digest())
    file = place / "VOCdevkit/VOC2012/ImageSets/Main/cow_val.txt"
    file.write_text(file.read_text().replace("v0 -1", "v0  1"))
    digests.append(digest())
    assert len(set(digests)) == len(digests)


def change(file: str, text: str, other: str):
    def do(place):
        path = place / "VOCdevkit/VOC2012" / file
        before = path.read_text()
        assert text in before
        path.write_text(before.replace(text, other, 1))

    return do


def remove(file: str):
    return lambda place: (place / "VOCdevkit/VOC2012" / file).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove("JPEGImages/v2.jpg"), "1 of the 5 pictures .* are not in .*: v2"),
        (remove("ImageSets/Main/cow_val.txt"), "lacks cow_val.txt: expected a list for each class, or for none"),
        (change("ImageSets/Main/cow_val.txt", "v1 -1\n", ""), "cow_val.txt lacks 1 pictures of the split: v1"),
        (change("ImageSets/Main/cow_val.txt", "v1 -1", "v1  2"), "has the line 'v1  2'"),
        (change("ImageSets/Main/cow_val.txt", "v1 -1", "v0 -1"), "has the line 'v0 -1'"),
        (change("ImageSets/Main/val.txt", "v1\n", "v0\n"), "names pictures twice: v0"),
        (change("ImageSets/Main/val.txt", "v0\nv1\nv2\nv3\nv4\n", "\n"), "val.txt is empty: expected the name"),
    ],
)
def test_damage_is_named(place, damage, said):
    damage(place)
    with pytest.raises(InputError, match=said):
        open_source(str(place), "val")


def test_mistakes_are_named(place):
    with pytest.raises(InputError, match="unknown split of .* 'test'"):
        open_source(str(place), "test")
    with pytest.raises(InputError, match="files of boxes beside a dataset are for one"):
        open_source(str(place), "val", boxes=str(place))
    change("Annotations/v0.xml", "cat", "cap")(place)
    for file in (place / "VOCdevkit/VOC2012/ImageSets/Main").glob("*_val.txt"):
        file.unlink()
    with pytest.raises(InputError, match="names an object 'cap', which is none of the classes"):
        open_source(str(place), "val")
    with pytest.raises(InputError, match="data.truth is 'masks'"):
        explained(place, "masks", "train")


def test_pictures_without_labels(tmp_path):
    write_voc(tmp_path, {"val": {"v0": [], "v1": [FAR]}})
    source = open_source(str(tmp_path), "val")
    with pytest.raises(InputError, match="none of the 2 pictures of .* has a label"):
        explain_each_class(source)
    with pytest.raises(InputError, match="none of the 2 pictures of .* has a label: there is no average precision"):
        check_labels_there(source)


def test_labels_and_masks_may_be_rare(tmp_path):
    """Further back than the records that are looked at first."""
    pictures = {f"v{i:03d}": [DOG] for i in range(110)}
    write_voc(tmp_path, {"val": pictures}, ["v000"])
    source = open_split(DataConfig(name=str(tmp_path)), "val")
    order = [name.decode() for name in source.records.names]
    shutil.rmtree(tmp_path / "VOCdevkit")
    pictures = {name: [DOG] * (name == order[-1]) for name in pictures}
    write_voc(tmp_path, {"val": pictures}, order[-1:])
    source = open_split(DataConfig(name=str(tmp_path), truth="masks"), "val", with_boxes=True)
    check_labels_there(source)
    records = [source.records[index] for index in range(110)]
    check_labels_there(dataclasses.replace(source, records=records))
    with pytest.raises(InputError, match="none of the 109 pictures"):
        check_labels_there(dataclasses.replace(source, records=records[:-1]))
    with pytest.raises(InputError, match="data.truth is 'masks': no record"):
        open_split(DataConfig(name=str(tmp_path), truth="masks"), "val[:109]", with_boxes=True)


def test_the_test_pictures_labels_are_not_published(place):
    root = place / "VOCdevkit/VOC2012"
    (root / "ImageSets/Main/test.txt").write_text("v0\n")
    (root / "Annotations/v0.xml").unlink()
    with pytest.raises(InputError, match="Those of VOC's test pictures are not published"):
        open_source(str(place), "test")


def test_a_folder_that_cannot_be_looked_into_is_no_year(tmp_path, monkeypatch):
    """The others of an image folder are its classes as ever."""
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "0.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "PNG"))
    (tmp_path / "lost+found").mkdir()
    stat = os.stat

    def refuse(path, *args, **kwargs):
        if "lost+found/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", refuse)
    assert open_source(str(tmp_path), "train").class_names == ("cat", "dog")


def test_two_years_are_not_one(place):
    shutil.copytree(place / "VOCdevkit/VOC2012", place / "VOCdevkit/VOC2007")
    with pytest.raises(InputError, match="holds several years"):
        open_source(str(place), "val")


def test_classes_of_ones_own(tmp_path):
    write_voc(tmp_path, {"val": {"v0": [CAT, DOG]}}, classes=("dog", "cat"))
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    source = open_source(str(tmp_path), "val", classes=str(tmp_path / "classes.txt"))
    assert source.class_names == ("dog", "cat")
    assert list(source[0]["labels"]) == [0, 1]
    assert source[0]["objects"]["label"].tolist() == [1, 0]


def test_masks_keep_the_values_of_vocs_own_classes(tmp_path):
    """Whatever the classes' order here, and however few there are."""
    things = [("aeroplane", (1, 1, 9, 9), False), DOG, ("cat", (20, 2, 30, 12), False)]
    root = write_voc(tmp_path, {"val": {"v0": things}}, ["v0"])
    (tmp_path / "classes.txt").write_text("dog\naeroplane\n")
    data = DataConfig(name=str(tmp_path), truth="masks", classes=str(tmp_path / "classes.txt"))
    source = explain_each_class(open_split(data, "val", with_boxes=True))
    for index, (_, (top, left, bottom, right), _) in enumerate((DOG, things[0])):
        there = np.zeros((32, 48), bool)
        there[top:bottom, left:right] = True
        np.testing.assert_array_equal(read_picture(source, index, Resize(48, "squash"))[2], there[NEAREST])

    (tmp_path / "classes.txt").write_text("dog\nzebra\n")
    (root / "ImageSets/Main/zebra_val.txt").write_text("v0 -1\n")
    with pytest.raises(InputError, match="data.truth is 'masks'"):
        open_split(data, "val", with_boxes=True)


def test_masks_of_other_classes_do_not_count(tmp_path, caplog):
    root = write_voc(tmp_path, {"val": {"v0": [DOG]}}, ["v0"])
    (tmp_path / "classes.txt").write_text("dog\nzebra\n")
    (root / "ImageSets/Main/zebra_val.txt").write_text("v0 -1\n")
    source = open_source(str(tmp_path), "val", classes=str(tmp_path / "classes.txt"))
    assert "class_mask" not in source[0]
    assert "these of data.classes are none of them: zebra." in caplog.text
