"""Boxes beside a dataset: the same as those of a dataset that holds them, and refused where they are of another one."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from castream_jax import notices
from castream_jax.data.bad_records import describe_truth, read_picture, says_where_objects_are
from castream_jax.data.boxes import as_spoken, picture_name
from castream_jax.data.objects.object_masks import fill_boxes
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import open_source
from castream_jax.errors import InputError
from tests.data.annotations import describe


@pytest.fixture
def pictures(demo_directory, tmp_path):
    """Return an image folder of the demo's first pictures, the boxes of all but one beside them, and its records."""
    source = open_source("castream_demo", "test", str(demo_directory))
    records = {}
    for i in range(8):
        record = source[i]
        name = f"ILSVRC2012_val_{i:08d}"
        records[name] = record
        folder = tmp_path / "pictures" / "val" / f"class {i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.JPEG").write_bytes(record["image"])
        boxes = tmp_path / "boxes" / f"class {i % 2}"
        boxes.mkdir(parents=True, exist_ok=True)
        if i:
            (boxes / f"{name}.xml").write_text(describe([96 * np.asarray(record["box"])], 96, 96))
    return tmp_path, records


def test_each_picture_gets_its_boxes(pictures):
    place, records = pictures
    source = open_source("image_folder", "val", str(place / "pictures"), str(place / "boxes"))
    assert len(source) == 8
    assert says_where_objects_are(source)
    for index in range(8):
        picture, record, truth = read_picture(source, index, Resize(96, "squash"))
        name, size = Path(picture_name(record)).stem, picture.image.size
        assert source.locate(index).endswith(f"{name}.JPEG")
        expected = fill_boxes(records[name]["box"], size) if name[-1] != "0" else np.zeros(size[::-1], bool)
        assert truth is not None
        np.testing.assert_array_equal(truth, expected)


def test_they_stand_in_place_of_what_the_dataset_says(demo_directory, tmp_path):
    (tmp_path / "test_00003.xml").write_text(describe([(0, 0, 24, 48), (12, 24, 48, 96)], 96, 96))
    source = open_source("castream_demo", "test", str(demo_directory), str(tmp_path))
    _, _, truth = read_picture(source, 3, Resize(40, "squash"))
    expected = np.zeros((40, 40), bool)
    expected[:10, :20] = expected[5:20, 10:] = True
    assert source[3]["bbox_size"] == (96, 96)
    assert describe_truth(source) == "boxes beside the dataset, of the picture's class"
    assert truth is not None
    np.testing.assert_array_equal(truth, expected)
    assert not np.any(read_picture(source, 4, Resize(40, "squash"))[2])


def test_they_are_part_of_the_digest(pictures):
    place, _ = pictures
    arguments = ("image_folder", "val", str(place / "pictures"))
    digests = [open_source(*arguments).digest(), open_source(*arguments, str(place / "boxes")).digest()]
    digests.append(open_source(*arguments, str(place / "boxes"), "all").digest())
    file = place / "boxes" / "class 1" / "ILSVRC2012_val_00000003.xml"
    text = file.read_text()
    file.write_text(text.replace("<ymin>", "<ymin> ").replace("<width>96", "<width>9"))  # as long as before
    digests.append(open_source(*arguments, str(place / "boxes")).digest())
    file.write_text(text)
    assert open_source(*arguments, str(place / "boxes")).digest() == digests[1]
    shutil.copytree(place / "boxes", place / "elsewhere")
    assert open_source(*arguments, str(place / "elsewhere")).digest() == digests[1]
    file.unlink()
    digests.append(open_source(*arguments, str(place / "boxes")).digest())
    assert len(set(digests)) == len(digests)


def test_they_are_part_of_the_digest_of_a_dataset_that_is_not_in_folders(demo_directory, tmp_path):
    digests = []
    for right in (48, 49):
        (tmp_path / "test_00003.xml").write_text(describe([(0, 0, 24, right)], 96, 96))
        digests.append(open_source("castream_demo", "test", str(demo_directory), str(tmp_path)).digest())
    assert digests[0] != digests[1]


def test_names_of_pictures():
    assert picture_name({"file_name": b"ILSVRC2012_val_00000001.JPEG", "id": "7"}) == "ILSVRC2012_val_00000001.JPEG"
    assert picture_name({"id": "n01440764/n01440764_18.JPEG"}) == "n01440764/n01440764_18.JPEG"
    assert picture_name({}) == ""


def test_folders_that_do_not_fit_are_refused(pictures):
    place, _ = pictures
    arguments = ("image_folder", "val", str(place / "pictures"))
    with pytest.raises(InputError, match="there is no such folder"):
        open_source(*arguments, str(place / "nowhere"))
    with pytest.raises(InputError, match=r"no \.xml files of split 'val' are there"):
        open_source(*arguments, str(place / "pictures"))
    other = place / "other"
    other.mkdir()
    (other / "n01440764_18.xml").write_text(describe([]))
    with pytest.raises(InputError, match=r"of its 1 \.xml files none is of one of the first 8 pictures, as class"):
        open_source(*arguments, str(other))


def test_pictures_that_storage_lacks_are_another_s_concern(pictures):
    place, _ = pictures
    folder = str(place / "pictures")
    first = Path(open_source("image_folder", "val", folder).locate(0))
    first.unlink()
    first.symlink_to("nowhere")
    source = open_source("image_folder", "val", folder, str(place / "boxes"))
    assert says_where_objects_are(source)
    with pytest.raises(InputError, match="cannot read record 0"):
        read_picture(source, 0)


CAT, DOG, NEITHER = (0, 0, 10, 10), (20, 20, 40, 40), (0, 0, 96, 96)


@pytest.fixture
def pets(demo_directory, tmp_path):
    """Return an image folder of pictures of 96x96 whose names differ by folder alone, with an empty folder of boxes."""
    source = open_source("castream_demo", "test", str(demo_directory))
    for i, name in enumerate(("cat/0001.png", "dog/0001.png", "dog/0002.png")):
        file = tmp_path / "pets" / "val" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source[i]["image"])
    (tmp_path / "boxes").mkdir()
    return tmp_path


def write(place, name, *objects, size=(96, 96)):
    """Write a file of boxes of (class name, box)."""
    file = place / "boxes" / f"{name}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(describe([box for _, box in objects], *size, names=[name for name, _ in objects]))


def boxed(place, boxes_of="class") -> dict[str, list]:
    """Return the boxes of each picture, in pixels."""
    source = open_source("image_folder", "val", str(place / "pets"), str(place / "boxes"), boxes_of)
    return {
        record["id"]: (96 * record["bbox"]).round().astype(int).tolist() for record in map(source.__getitem__, range(3))
    }


@pytest.mark.parametrize("prefix", ["", "val/", "validation/", "annotations/val/"])
def test_a_picture_takes_the_file_of_its_path(pets, prefix):
    """Not another class's or split's file of the same name."""
    write(pets, f"{prefix}dog/0001", ("dog", DOG))
    write(pets, f"{prefix}cat/0001", ("cat", CAT))
    write(pets, "train/dog/0002", ("dog", NEITHER))
    assert boxed(pets) == {"cat/0001.png": [[*CAT]], "dog/0001.png": [[*DOG]], "dog/0002.png": []}


def test_no_picture_takes_the_file_of_another_class(pets):
    write(pets, "cat/0001", ("cat", CAT))
    write(pets, "cat/0002", ("dog", DOG))
    assert boxed(pets) == {"cat/0001.png": [[*CAT]], "dog/0001.png": [], "dog/0002.png": []}


def test_a_bare_name_will_do_where_it_is_one_picture_s(pets):
    write(pets, "0002", ("dog", DOG))
    write(pets, "dog/0001", ("dog", CAT))
    assert boxed(pets) == {"cat/0001.png": [], "dog/0001.png": [[*CAT]], "dog/0002.png": [[*DOG]]}


def test_a_bare_name_that_several_have_is_refused(pets):
    write(pets, "0001", ("dog", DOG))
    with pytest.raises(
        InputError, match=r"boxes/0001\.xml may be of (cat|dog)/0001\.png or of (cat|dog)/0001\.png.*dog/0001"
    ):
        boxed(pets)
    shutil.move(pets / "boxes" / "0001.xml", pets / "boxes" / "dog.xml")
    for place in ("a", "b"):
        write(pets, f"{place}/0002", ("dog", DOG))
    with pytest.raises(InputError, match=r"dog/0002\.png has two files of boxes .*, a/0002\.xml and b/0002\.xml"):
        boxed(pets)
    shutil.copy(pets / "pets" / "val" / "dog" / "0002.png", pets / "pets" / "val" / "dog" / "0002.jpg")
    write(pets, "dog/0002", ("dog", DOG))
    with pytest.raises(InputError, match=r"may be of dog/0002\.(jpg|png) or of dog/0002\.(jpg|png)"):
        boxed(pets)


def test_names_of_a_copied_folder_are_paths_too(pets):
    """Its pictures are not known before they are read: only whole paths count."""
    from castream_jax.cli.prepare import main

    main(["prepare", "pets", f"--images={pets / 'pets'}", f"--directory={pets / 'data'}"])
    write(pets, "dog/0001", ("dog", DOG))
    write(pets, "0002", ("dog", DOG))
    source = open_source("pets", "val", str(pets / "data"), str(pets / "boxes"))
    found = {record["id"].decode(): len(record["bbox"]) for record in map(source.__getitem__, range(3))}
    assert found == {"cat/0001.png": 0, "dog/0001.png": 1, "dog/0002.png": 0}


def test_objects_of_the_picture_s_class_count(pets):
    write(pets, "dog/0001", ("person", NEITHER), ("Dog", DOG), ("cat", CAT), ("", (1, 1, 2, 2)))
    write(pets, "dog/0002", ("person", NEITHER), ("cat", CAT))
    expected = {"cat/0001.png": [], "dog/0001.png": [[*DOG], [1, 1, 2, 2]], "dog/0002.png": []}
    assert boxed(pets) == expected
    assert boxed(pets, "all")["dog/0002.png"] == [[*NEITHER], [*CAT]]


def test_all_objects_count_where_none_is_named_by_a_class(pets, caplog):
    caplog.set_level(logging.WARNING, "castream_jax")
    write(pets, "dog/0001", ("poodle", DOG), ("lawn", CAT))
    for _ in range(2):
        assert boxed(pets)["dog/0001.png"] == [[*DOG], [*CAT]]
    said = [record.getMessage() for record in caplog.records]
    assert (
        sum("name their objects poodle, lawn, which are no classes of the dataset (cat, dog)" in text for text in said)
        == 1
    )


def test_classes_by_the_names_that_a_list_gives_them(demo_directory, tmp_path):
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    (tmp_path / "words.txt").write_text("\n".join(words))
    for name in ("own", "given"):
        label = open_source("castream_demo", "test", str(demo_directory))[3]["label"]
        objects = [str(label) if name == "own" else words[label], "person"]
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_00003.xml").write_text(describe([DOG, CAT], 96, 96, names=objects))
        listed = str(tmp_path / "words.txt")
        source = open_source("castream_demo", "test", str(demo_directory), str(tmp_path / name), classes=listed)
        assert len(source[3]["bbox"]) == 1


def test_names_as_they_are_spoken():
    assert as_spoken(" Golden_Retriever") == as_spoken("golden  retriever") == as_spoken("golden-retriever")
    assert as_spoken("n01440764") != as_spoken("n01440765")


def test_pictures_without_a_file_are_listed_once(pets, caplog):
    caplog.set_level(logging.WARNING, "castream_jax")
    write(pets, "dog/0001", ("dog", DOG))
    for _ in range(2):
        boxed(pets)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "2 of the 3 pictures of" in said[0]
    assert said[0].endswith(("cat/0001.png, dog/0002.png.", "dog/0002.png, cat/0001.png."))


def test_sizes_are_compared(pets, caplog, monkeypatch):
    caplog.set_level(logging.WARNING, "castream_jax")
    monkeypatch.setattr(notices, "_SAID", set())
    square = Resize(96, "squash")
    write(pets, "dog/0001", ("dog", (40, 40, 80, 80)), size=(192, 192))
    write(pets, "dog/0002", ("dog", (20, 20, 40, 40)), size=(96, 80))
    source = open_source("image_folder", "val", str(pets / "pets"), str(pets / "boxes"))
    for index in range(3):
        name = source[index]["id"]
        if name == "dog/0001.png":
            truth = read_picture(source, index, square)[2]
            assert truth is not None
            assert truth[20:40, 20:40].all()
            assert truth.sum() == 400
        elif name == "dog/0002.png":
            with pytest.raises(
                InputError, match=r"dog/0002\.xml: its boxes are of a picture of 96x80 pixels, and it has 96x96"
            ):
                read_picture(source, index, square)
    assert sum("(192x192, 96x96)" in record.getMessage() for record in caplog.records) == 1


def test_other_splits_files_are_not_read(pets):
    write(pets, "train/0002", ("dog", DOG))
    with pytest.raises(InputError, match=r"no \.xml files of split 'val' are there"):
        boxed(pets)
