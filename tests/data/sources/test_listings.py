"""Pictures that a listing names: `metadata.csv`, `metadata.jsonl`, `FILE.csv`."""

import json
import logging
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castream_jax import notices
from castream_jax.config import DataConfig
from castream_jax.data.bad_records import read_picture, says_where_objects_are
from castream_jax.data.classes.imagenet_names import imagenet_classes
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import open_split
from castream_jax.data.sources.row_boxes import parse_boxes
from castream_jax.errors import InputError
from tests.data.conftest import encode_picture

HEADER = "file_name,label,boxes"
ROWS = ["a.jpg,0,0.1 0.2 0.5 0.6", 'b/b.jpg,2,"0 0 1 1;0.25 0.5 0.75 1"', "c.jpg,1,", "d.jpg,0,0.5 0.5 1 1"]


@pytest.fixture
def log(monkeypatch, caplog):
    """Return the log, in which everything can be said anew."""
    monkeypatch.setattr(notices, "_SAID", set())
    caplog.set_level(logging.WARNING, "castream_jax")
    return caplog


@pytest.fixture
def folder(tmp_path):
    """Return a folder of pictures with a listing."""
    root = tmp_path / "pictures"
    for number, name in enumerate(("a.jpg", "b/b.jpg", "c.jpg", "d.jpg")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_picture(number))
    write(root)
    return root


def write(root, *rows, header=HEADER, name="metadata.csv"):
    (root / name).write_text("\n".join([header, *(rows or ROWS)]) + "\n")


def open_it(name, split="all", **settings):
    return open_split(DataConfig(name=str(name), **settings), split)


def read(source, key="label"):
    return {source[i]["id"]: source[i][key] for i in range(len(source))}


def fails(name, split="all", **settings) -> str:
    with pytest.raises(InputError) as caught:
        open_it(name, split, **settings)
    return str(caught.value)


def test_a_folder_with_a_listing(folder):
    source = open_it(folder)
    assert read(source) == {"a.jpg": 0, "b/b.jpg": 2, "c.jpg": 1, "d.jpg": 0}
    assert source.class_names == ("0", "1", "2")
    boxes = read(source, "bbox")
    np.testing.assert_array_equal(boxes["a.jpg"], [[0.2, 0.1, 0.6, 0.5]])
    np.testing.assert_array_equal(boxes["b/b.jpg"], [[0, 0, 1, 1], [0.5, 0.25, 1, 0.75]])
    assert boxes["c.jpg"].shape == (0, 4)
    assert says_where_objects_are(source)
    place = [source[i]["id"] for i in range(4)].index("d.jpg")
    truth = read_picture(source, place, Resize(20, "squash"))[2]
    expected = np.zeros((20, 20), bool)
    expected[10:, 10:] = True
    np.testing.assert_array_equal(truth, expected)
    assert source.locate(place) == str(folder / "d.jpg")
    assert read(pickle.loads(pickle.dumps(source)))["b/b.jpg"] == 2


def test_a_file_says_the_same_wherever_it_lies(folder, tmp_path):
    (tmp_path / "list.csv").write_text((folder / "metadata.csv").read_text())
    source = open_it(tmp_path / "list.csv", directory=str(folder))
    assert read(source) == read(open_it(folder))
    assert source.digest() == open_it(tmp_path / "list.csv", directory=str(folder)).digest()
    assert "files that are not in" in fails(tmp_path / "list.csv")


def test_json_lines(folder):
    expected = read(open_it(folder)), read(open_it(folder), "bbox")
    (folder / "metadata.csv").unlink()
    rows = [
        {"file_name": "a.jpg", "label": 0, "boxes": [[0.1, 0.2, 0.5, 0.6]]},
        {"file_name": "b/b.jpg", "label": 2, "boxes": [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]]},
        {"file_name": "c.jpg", "label": 1},
        {"file_name": "d.jpg", "label": 0, "boxes": "0.5 0.5 1 1"},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = open_it(folder)
    assert read(source) == expected[0]
    np.testing.assert_equal(read(source, "bbox"), expected[1])
    (folder / "metadata.jsonl").write_text('[1]\n{"file_name": "a.jpg", "label": 0}\n{"file')
    assert "no JSON object: 2, line 1 ('[1]'), line 3" in fails(folder)
    write(folder)
    assert "metadata.csv and metadata.jsonl: expected one" in fails(folder)


def test_other_columns(folder):
    write(folder, "a.jpg;dog;0", "b/b.jpg;cat;0", "c.jpg;dog;1", header="path;class;other")
    columns = "file_name=path, label=class"
    source = open_it(folder, columns=columns)
    assert source.class_names == ("cat", "dog")
    assert read(source) == {"a.jpg": 1, "b/b.jpg": 0, "c.jpg": 1}
    assert not says_where_objects_are(source)
    assert "unknown column 'label'. Choose one of: path, class, other." in fails(folder, columns="file_name=path")
    assert "unknown column 'klass'. Did you mean 'class'?" in fails(folder, columns="label=klass")
    assert "data.columns is 'labl=class': expected" in fails(folder, columns="labl=class")
    assert "data.columns is 'label=class': castream_demo is no listing" in fails("castream_demo", columns="label=class")


def test_a_list_of_classes(folder, tmp_path, log):
    (tmp_path / "names.txt").write_text("cat\nemu\ndog\n")
    classes = str(tmp_path / "names.txt")
    source = open_it(folder, classes=classes)
    assert source.class_names == ("cat", "emu", "dog")
    assert read(source)["b/b.jpg"] == 2
    write(folder, "a.jpg,dog,", "b/b.jpg,cat,")
    assert read(open_it(folder, classes=classes)) == {"a.jpg": 2, "b/b.jpg": 0}
    write(folder, "a.jpg,dog,", "b/b.jpg,cow,")
    assert "labels that are none of the names of the classes: 1, line 3 ('cow')" in fails(folder, classes=classes)
    (tmp_path / "names.txt").write_text("1\n2\n0\n")
    write(folder)
    assert "a label may be a place or a name" in fails(folder, classes=classes)
    assert not log.messages


def test_labels_without_a_list(folder, log):
    """Classes without pictures are said; numbers and names are not mixed."""
    write(folder, "a.jpg,1.0,", "b/b.jpg,3.0,")
    assert open_it(folder).class_names == ("0", "1", "2", "3")
    assert "no pictures with 2 of the labels from 0 to 3 (0, 2)" in log.text
    write(folder, "a.jpg,1,", "b/b.jpg,cat,")
    assert "some of its labels are whole numbers (1) and others are not (cat)" in fails(folder)


def test_imagenet(folder, log):
    """Labels and identifiers that agree make it ImageNet; words name its classes."""
    ids = imagenet_classes()
    write(folder, f"a.jpg,281,{ids[281]}", f"b/b.jpg,7,{ids[7]}", header="file_name,label,wnid")
    source = open_it(folder)
    assert (source.num_classes, source.class_names[281]) == (1000, "tabby, tabby cat")
    assert "those of ImageNet's 1,000 classes" in log.text
    write(folder, f"a.jpg,281,{ids[282]}", f"b/b.jpg,7,{ids[7]}", header="file_name,label,wnid")
    assert open_it(folder).num_classes == 282
    assert open_it(folder, columns="label=wnid").num_classes == 2
    assert read(open_it(folder, columns="label=wnid", classes="imagenet")) == {"a.jpg": 282, "b/b.jpg": 7}
    write(folder, "a.jpg,tabby,", "b/b.jpg,crane,")
    assert "labels that are none of the names of the classes: 1, line 3 ('crane')" in fails(folder, classes="imagenet")


def test_splits(folder, tmp_path):
    """A column says them, or folders, or nothing."""
    assert "they are one split, 'all'. Name it, --config.evaluation.split=all" in fails(folder, "train")
    assert len(open_it(folder, "all[:50%]")) == 2
    folder.rename(tmp_path / "val")
    assert open_it(tmp_path / "val", "validation").split == "val"
    (tmp_path / "val").rename(folder)
    write(folder, "a.jpg,0,train", "b/b.jpg,2,train", "c.jpg,1,dev", header="file_name,label,split")
    assert read(open_it(folder, "train")) == {"a.jpg": 0, "b/b.jpg": 2}
    assert "unknown split of" in fails(folder, "test")
    for name in ("train", "val"):
        (folder / name).mkdir()
        (folder / name / "x.jpg").write_bytes(encode_picture(5))
    write(folder, "train/x.jpg,0,", "val/x.jpg,1,")
    assert read(open_it(folder, "validation")) == {"val/x.jpg": 1}
    (folder / "metadata.csv").unlink()
    write(folder / "train", "x.jpg,cat,")
    write(folder / "val", "x.jpg,dog,")
    source = open_it(folder, "validation")
    assert (read(source), source.class_names) == ({"x.jpg": 1}, ("cat", "dog"))


def test_the_digest_is_that_of_what_is_read(folder):
    digests = [open_it(folder).digest()]
    for rows in (["a.jpg,2,0.1 0.2 0.5 0.6", *ROWS[1:]], ["a.jpg,0,0.1 0.2 0.5 0.7", *ROWS[1:]], ROWS[1:]):
        write(folder, *rows)
        digests.append(open_it(folder).digest())
    assert len(set(digests)) == 4


def test_all_rows_that_are_wrong_are_named(folder, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    wrong = [f"no{i}.jpg,0," for i in range(20)]
    rows = [*ROWS, "a.jpg,1,", ",0,", "b/b.jpg,,0 0 1", "c.jpg,-1,0.5 0 0.4 1", *wrong]
    write(folder, *rows)
    said = fails(folder, classes=str(tmp_path / "names.txt")).split("\n  ")
    assert said[0].startswith(f"{folder}/metadata.csv: 29 rows cannot be used. Expected in each the path")
    assert set(said[1:]) == {
        "labels that are none of 0 to 1: 2, line 3 ('2'), line 9 ('-1')",
        "rows without a label: 1, line 8 ('')",
        "boxes that are not 'x0 y0 x1 y1', several apart by ';': 1, line 8 ('0 0 1')",
        "boxes outside of their picture, or without area: shares of its sides are expected, 0 to 1, x0 below x1: 1, "
        "line 9 ('0.5 0 0.4 1')",
        "pictures that are listed before: 3, line 6 ('a.jpg'), line 8 ('b/b.jpg'), line 9 ('c.jpg')",
        "rows without a file name: 1, line 7 ('')",
        f"files that are not in {folder}: 20, line 10 ('no0.jpg'), line 11 ('no1.jpg'), line 12 ('no2.jpg'), line 13 "
        "('no3.jpg'), line 14 ('no4.jpg') and 15 more",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no pictures"),
        ("file_name,label\n", "lists no pictures"),
        ("a.jpg,0\nb/b.jpg,1\n", "unknown column 'file_name'. Choose one of: a.jpg, 0. Its first line has the names"),
        ("file_name,label\na.jpg\nb/b.jpg,1,2\n", "not 2 values: 2, line 2 ('a.jpg'), line 3 ('b/b.jpg,1,2')"),
        ('file_name,label\n"a.jpg,0\n', "line 2: unexpected end of data. Expected CSV, with quotes in pairs"),
        ("file_name,label,label\na.jpg,0,0\n", "two columns of one name"),
        ("file_name,label,boxes\na.jpg,0,10 10 50 60\n", "boxes outside of their picture"),
        ("file_name,label,boxes\na.jpg,0,nan 0 1 1\n", "boxes that are not 'x0 y0 x1 y1'"),
    ],
)
def test_malformed_files_are_refused(folder, text, said):
    (folder / "metadata.csv").write_text(text)
    assert said in fails(folder)


def test_bytes_that_are_no_text_are_refused(folder):
    (folder / "metadata.csv").write_bytes(b"file_name,label\n\xff\xfe,0\n")
    assert "cannot be read" in fails(folder)


def test_a_path_where_nothing_is(folder):
    assert "there is no such folder or file" in fails(folder / "nowhere")
    assert "cannot be read" in fails(folder / "nowhere.csv")
    assert "data.name is itself a path" in fails(folder, directory="x")


def test_a_prepared_dataset_comes_before_a_folder_of_its_name(folder, demo_directory, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert len(open_it("pictures")) == 4
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "pictures" / "1.0.0").symlink_to(demo_directory / "castream_demo" / "1.0.0")
    assert open_it("pictures", "train", directory=str(tmp_path / "data")).num_classes == 10
    assert len(open_it("./pictures")) == 4


@pytest.mark.parametrize(
    "text", ["1" * 5000 + " 1" * 5000, "0 0 1 1;" * 5000 + "x", " " * 5000 + "0 0 1", "0.1 " * 5000]
)
def test_long_texts_are_refused_at_once(text):
    with pytest.raises(ValueError, match="are no boxes"):
        parse_boxes(text)


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), max_size=4))
def test_boxes_are_read_as_they_are_written(boxes):
    expected = np.array(boxes).reshape(-1, 4)
    for value in (boxes, ";".join(" ".join(map(repr, box)) for box in boxes), boxes or None):
        np.testing.assert_array_equal(parse_boxes(value), expected)
