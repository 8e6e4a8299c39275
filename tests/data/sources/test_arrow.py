"""Datasets as `save_to_disk` saves them."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from castream_jax.config import DataConfig
from castream_jax.data.bad_records import read_picture
from castream_jax.data.source import open_split
from castream_jax.errors import InputError
from tests.data.conftest import encode_picture

NAMES = {"_type": "ClassLabel", "names": ["cat", "dog", "emu"]}
IMAGE = {"_type": "Image"}


def save(folder, labels, kind=NAMES, split="train", files=2, image="image", **columns):
    """Write a split in that layout: a few files of several batches each."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": encode_picture(i), "path": f"{i}.jpg"} for i in range(len(labels))]
    table = pa.table({image: rows, "label": labels, **columns})
    names = [f"data-{i:05}-of-{files:05}.arrow" for i in range(files)]
    for i, name in enumerate(names):
        part = table.slice(i * len(labels) // files, (i + 1) * len(labels) // files - i * len(labels) // files)
        with pa.ipc.new_stream(str(folder / name), table.schema) as stream:
            stream.write_table(part, max_chunksize=2)
    features = {image: IMAGE, "label": kind} | {name: {"_type": "Value", "dtype": "string"} for name in columns}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    state = {"_data_files": [{"filename": name} for name in names], "_split": split, "_fingerprint": "x"}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def open_it(folder, split="train", **settings):
    return open_split(DataConfig(name=str(folder), **settings), split)


def labels_of(source):
    return {source[i]["id"]: source[i]["label"] for i in range(len(source))}


def test_a_saved_dataset(tmp_path):
    source = open_it(save(tmp_path / "saved", [0, 1, 2, 0, 1, 2, 0]))
    assert source.class_names == ("cat", "dog", "emu")
    assert labels_of(source) == {f"{i}.jpg": i % 3 for i in range(7)}
    for index in range(7):
        picture, record, _ = read_picture(source, index)
        assert record["image"] == encode_picture(int(record["id"][0]))
        assert picture.image.size == (40, 30)
        assert source.locate(index) == f"{tmp_path}/saved, row {record['id'][0]}"
    sent = pickle.dumps(source)
    assert len(sent) < 5_000
    assert labels_of(pickle.loads(sent)) == labels_of(source)
    assert source.digest() != open_it(save(tmp_path / "other", [0, 1, 2, 0, 1, 2, 1])).digest()


def test_splits(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / "saved" / split, [0, 1], split=split)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert len(open_it(tmp_path / "saved", "test[:1]")) == 1
    with pytest.raises(InputError, match="unknown split"):
        open_it(tmp_path / "saved", "validation")


def test_other_columns(tmp_path):
    kind = {"_type": "Value", "dtype": "string"}
    folder = save(tmp_path / "saved", ["dog", "cat"], kind, image="picture", boxes=["0 0 0.5 1", ""])
    with pytest.raises(InputError, match="unknown column 'lable'. Did you mean 'label'"):
        open_it(folder, columns="label=lable")
    source = open_it(folder)
    assert source.class_names == ("cat", "dog")
    assert labels_of(source) == {"0.jpg": 1, "1.jpg": 0}
    boxes = {source[i]["id"]: source[i]["bbox"] for i in range(2)}
    np.testing.assert_array_equal(boxes["0.jpg"], [[0, 0, 1, 0.5]])
    assert boxes["1.jpg"].shape == (0, 4)
    save(folder, ["dog", "cat"], kind, image="picture", boxes=["0 0 2 1", "0 0"])
    with pytest.raises(InputError, match="2 rows cannot be used"):
        open_it(folder)


def test_labels_that_are_none(tmp_path):
    source = open_it(save(tmp_path / "saved", [0, None, 3]))
    found = [source.records[i]["label"] for i in range(3)]
    assert sorted(found) == [-1, 0, 3]
    for index, label in enumerate(found):
        if label:
            with pytest.raises(InputError, match="expected a whole number in 0 to 2"):
                read_picture(source, index)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "state.json").write_text("{"), "state.json cannot be read"),
        (lambda folder: (folder / "state.json").write_text("[]"), "holds no JSON object"),
        (lambda folder: (folder / "state.json").write_text("{}"), "is no dataset that `save_to_disk` saved"),
        (
            lambda folder: (folder / "state.json").write_text(
                '{"_data_files": [{"filename": "../x"}], "_split": "train"}'
            ),
            "expected a file in this folder",
        ),
        (lambda folder: (folder / "dataset_info.json").write_text('{"features": {"a": {"_type": "Image"}}}'), "label"),
        (lambda folder: next(folder.glob("*.arrow")).unlink(), "expected the Arrow files"),
        (lambda folder: next(folder.glob("*.arrow")).write_bytes(b"x" * 100), "expected the Arrow files"),
    ],
)
def test_damaged_ones_are_refused(tmp_path, change, said):
    folder = save(tmp_path / "saved", [0, 1, 2])
    change(folder)
    with pytest.raises(InputError) as caught:
        open_it(folder, "train" if "_split" in (folder / "state.json").read_text() else "all")
    assert said in str(caught.value)
