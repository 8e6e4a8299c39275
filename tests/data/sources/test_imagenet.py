"""ImageNet as people have it."""

import csv

import numpy as np
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.classes.imagenet_names import imagenet_classes
from castream_jax.data.source import open_split
from castream_jax.data.sources.imagenet_labels import validation_classes
from castream_jax.errors import InputError
from tests.data.conftest import encode_picture

IDS = imagenet_classes()
NUMBERS = (1, 2, 7, 50_000)
OFFICIAL = {f"ILSVRC2012_val_{number:08}": validation_classes()[number - 1] for number in NUMBERS}
EXPECTED = {f"{name}.JPEG": IDS.index(class_id) for name, class_id in OFFICIAL.items()}


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(encode_picture(len(name)))


def open_it(split="validation", **settings):
    return open_split(DataConfig(**settings), split)


def labels_of(source):
    return {source[i]["id"]: source[i]["label"] for i in range(len(source))}


@pytest.fixture
def flat(tmp_path):
    """Return a folder with a flat `val` and a `train` of one class."""
    put(tmp_path / "val", *EXPECTED)
    put(tmp_path / "train" / IDS[3], "x.JPEG")
    return tmp_path


def test_the_list_is_imagenets():
    assert len(validation_classes()) == 50_000
    assert set(validation_classes()) == set(IDS)
    assert IDS.index(validation_classes()[0]) == 65  # a sea snake, as the devkit has it


@pytest.mark.parametrize("name", ["imagenet", "imagenet2012"])
def test_a_flat_folder_by_name(flat, name):
    source = open_it(name=name, directory=str(flat))
    assert labels_of(source) == EXPECTED
    assert (source.num_classes, source.class_names[281], source.split) == (1000, "tabby, tabby cat", "val")
    assert labels_of(open_it("train", name=name, directory=str(flat))) == {f"{IDS[3]}/x.JPEG": 3}
    with pytest.raises(InputError, match="unknown split of .* 'test'"):
        open_it("test", name=name, directory=str(flat))


def test_a_flat_folder_by_path(flat):
    expected = open_it(name="imagenet", directory=str(flat))
    for source in (open_it(name=str(flat)), open_it(name=str(flat / "val"))):
        assert labels_of(source) == EXPECTED
        assert source.digest() == expected.digest()


def test_folders_of_classes(tmp_path):
    """By name labels are ImageNet's own; by path, places among the folders that there are."""
    for place, class_id in ((7, IDS[7]), (500, IDS[500])):
        put(tmp_path / "val" / class_id, f"{place}.JPEG")
    source = open_it(name="imagenet", directory=str(tmp_path))
    assert labels_of(source) == {f"{IDS[7]}/7.JPEG": 7, f"{IDS[500]}/500.JPEG": 500}
    source = open_it(name=str(tmp_path))
    assert labels_of(source) == {f"{IDS[7]}/7.JPEG": 0, f"{IDS[500]}/500.JPEG": 1}
    assert source.class_names == ("cock", "cliff dwelling")
    assert source.names_on_disk == (IDS[7], IDS[500])
    assert labels_of(open_it(name=str(tmp_path), classes="imagenet")) == {
        f"{IDS[7]}/7.JPEG": 7,
        f"{IDS[500]}/500.JPEG": 500,
    }


def test_the_devkits_numbers_are_its_own(flat):
    numbers = np.random.default_rng(0).permutation(1000) + 1
    own = [str(numbers[IDS.index(class_id)]) for class_id in validation_classes()]
    file = flat / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(own) + "\n")
    assert labels_of(open_it(name=str(flat))) == EXPECTED
    own[3], own[4] = own[4], own[3]
    file.write_text("\n".join(own))
    with pytest.raises(InputError, match="contradicts ImageNet's own list"):
        open_it(name=str(flat))
    file.write_text("1\n2\n")
    with pytest.raises(InputError, match="has 2 lines"):
        open_it(name=str(flat))


def test_a_list_beside_a_flat_folder(flat):
    lines = [f"{name} {label}" for name, label in EXPECTED.items()]
    (flat / "val.txt").write_text("\n".join(lines))
    assert labels_of(open_it(name="imagenet", directory=str(flat))) == EXPECTED
    (flat / "val.txt").write_text("\n".join(f"{name} {label + 1}" for name, label in EXPECTED.items()))
    with pytest.raises(InputError, match="4 rows cannot be used") as caught:
        open_it(name="imagenet", directory=str(flat))
    assert "labels that are not ImageNet's own for that picture" in str(caught.value)
    (flat / "val.txt").write_text("a b c\na.jpg 1000\n")
    with pytest.raises(InputError, match="lines that are not a file's name and a label in 0 to 999: 2"):
        open_it(name="imagenet", directory=str(flat))


def test_other_names_need_the_list(tmp_path):
    put(tmp_path / "val", "a.jpg", "b.jpg")
    (tmp_path / "val.txt").write_text(f"a.jpg 5\nb.jpg {IDS[9]}\n")
    assert labels_of(open_it(name="imagenet", directory=str(tmp_path))) == {"a.jpg": 5, "b.jpg": 9}
    put(tmp_path / "val", "c.jpg")
    with pytest.raises(InputError, match="1 pictures whose class nothing says, first 'c.jpg'"):
        open_it(name="imagenet", directory=str(tmp_path))


@pytest.fixture
def kaggle(tmp_path):
    """Return what Kaggle's archive makes, and how to write its list of boxes."""
    put(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val", *EXPECTED)
    put(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "train" / IDS[3], "x.JPEG")

    def write(boxes: str, **classes: str) -> None:
        with (tmp_path / "LOC_val_solution.csv").open("w", newline="") as file:
            rows = [(name, f"{classes.get(name, class_id)} {boxes} ") for name, class_id in OFFICIAL.items()]
            csv.writer(file).writerows([("ImageId", "PredictionString"), *rows])

    write("4 3 20 30")
    return tmp_path, write


def test_kaggles_layout(kaggle):
    root, write = kaggle
    source = open_it(name=str(root))
    assert labels_of(source) == EXPECTED
    for index in range(4):
        np.testing.assert_allclose(source[index]["bbox"], [[3 / 30, 4 / 40, 30 / 30, 20 / 40]])
    assert labels_of(open_it(name="imagenet2012", directory=str(root))) == EXPECTED
    assert labels_of(open_it("train", name=str(root))) == {f"{IDS[3]}/x.JPEG": 3}
    write("4 3 20 32")
    with pytest.raises(InputError, match="are outside of it: it has 40x30 pixels"):
        open_it(name=str(root))[0]


@pytest.mark.parametrize(
    ("boxes", "classes", "said"),
    [
        ("4 3 20", {}, "lines that are not a name, and a class with four numbers for each box: 4"),
        ("4 3 4 30", {}, "boxes outside of their picture, or without area: 4"),
        ("4 3 20 30", {"ILSVRC2012_val_00000001": IDS[0]}, "labels that are not ImageNet's own for that picture"),
    ],
)
def test_boxes_that_cannot_be_are_refused(kaggle, boxes, classes, said):
    root, write = kaggle
    write(boxes, **classes)
    with pytest.raises(InputError) as caught:
        open_it(name=str(root))
    assert said in str(caught.value)


def test_a_picture_without_a_line_is_named(kaggle):
    root, _ = kaggle
    put(root / "ILSVRC" / "Data" / "CLS-LOC" / "val", "ILSVRC2012_val_00000009.JPEG")
    with pytest.raises(InputError, match="no boxes of 1 of the 5 pictures"):
        open_it(name=str(root))


def test_nothing_there(tmp_path):
    with pytest.raises(InputError) as caught:
        open_it(name="imagenet2012", directory=str(tmp_path))
    assert f"castream prepare imagenet2012 --manual=DIR --directory={tmp_path}" in str(caught.value)
    assert "--config.data.directory=ROOT, where ROOT holds train/ and val/" in str(caught.value)
