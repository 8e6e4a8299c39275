"""Boxes beside a dataset: the same as those of a dataset that holds them, and refused where they are of another one."""

from pathlib import Path

import numpy as np
import pytest

from castream_jax.data.boxes import picture_name, read_boxes
from castream_jax.data.preprocess import Resize
from castream_jax.data.records import read_picture, says_where_objects_are
from castream_jax.data.source import open_source
from castream_jax.data.truth import fill_boxes
from castream_jax.errors import InputError


def describe(boxes, width=500, height=375) -> str:
    """Return a PASCAL VOC file of boxes (ymin, xmin, ymax, xmax) in pixels."""
    names = ("ymin", "xmin", "ymax", "xmax")
    corners = ["".join(f"<{name}>{value}</{name}>" for name, value in zip(names, box)) for box in boxes]
    objects = "".join(f"<object><name>n01440764</name><bndbox>{text}</bndbox></object>" for text in corners)
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>val</folder><filename>a</filename>{size}{objects}</annotation>"


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
            (boxes / f"{name}.xml").write_text(describe([1000 * np.asarray(record["box"])], 1000, 1000))
    return tmp_path, records


def test_each_picture_gets_its_boxes(pictures):
    place, records = pictures
    source = open_source("image_folder", "val", str(place / "pictures"), str(place / "boxes"))
    assert len(source) == 8
    assert says_where_objects_are(source)
    for index in range(8):
        picture, record, truth = read_picture(source, index, Resize(96, "squash"))
        name, size = picture_name(record), picture.image.size
        assert source.locate(index).endswith(f"{name}.JPEG")
        expected = fill_boxes(records[name]["box"], size) if name[-1] != "0" else np.zeros(size[::-1], bool)
        assert truth is not None
        np.testing.assert_array_equal(truth, expected)


def test_they_stand_in_place_of_what_the_dataset_says(demo_directory, tmp_path):
    (tmp_path / "test_00003.xml").write_text(describe([(0, 0, 100, 100), (50, 50, 200, 200)], 200, 400))
    source = open_source("castream_demo", "test", str(demo_directory), str(tmp_path))
    _, _, truth = read_picture(source, 3, Resize(40, "squash"))
    expected = np.zeros((40, 40), bool)
    expected[:10, :20] = expected[5:20, 10:] = True
    assert truth is not None
    np.testing.assert_array_equal(truth, expected)
    assert not np.any(read_picture(source, 4, Resize(40, "squash"))[2])


def test_they_are_part_of_the_digest(pictures):
    place, _ = pictures
    arguments = ("image_folder", "val", str(place / "pictures"))
    digests = [open_source(*arguments).digest(), open_source(*arguments, str(place / "boxes")).digest()]
    (place / "boxes" / "class 1" / "ILSVRC2012_val_00000003.xml").unlink()
    digests.append(open_source(*arguments, str(place / "boxes")).digest())
    assert len(set(digests)) == 3


def test_names_of_pictures():
    assert picture_name({"file_name": b"ILSVRC2012_val_00000001.JPEG", "id": "7"}) == "ILSVRC2012_val_00000001"
    assert picture_name({"id": "n01440764/n01440764_18.JPEG"}) == "n01440764_18"
    assert picture_name({}) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<annotation/>",
        describe([(1, 2, 3, "a")]),
        describe([], 0),
        describe([(1, 2, 3)]),
        describe([], "w"),
    ],
)
def test_files_that_say_no_boxes(text, tmp_path):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=r"cannot read the boxes of .*a\.xml .*expected PASCAL VOC"):
        read_boxes(tmp_path / "a.xml")


def test_a_picture_without_objects(tmp_path):
    (tmp_path / "a.xml").write_text(describe([]))
    assert read_boxes(tmp_path / "a.xml").shape == (0, 4)


def test_folders_that_do_not_fit_are_refused(pictures):
    place, _ = pictures
    arguments = ("image_folder", "val", str(place / "pictures"))
    with pytest.raises(InputError, match="there is no such folder"):
        open_source(*arguments, str(place / "nowhere"))
    with pytest.raises(InputError, match=r"no \.xml files are there"):
        open_source(*arguments, str(place / "pictures"))
    other = place / "other"
    other.mkdir()
    (other / "n01440764_18.xml").write_text(describe([]))
    with pytest.raises(InputError, match=r"of its 1 \.xml files none is of one of the first 8 pictures, as ILSVRC"):
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
