"""Tars of samples, as WebDataset has them."""

import io
import json
import pickle
import tarfile

import pytest

from castream_jax.config import DataConfig
from castream_jax.data.bad_records import read_picture
from castream_jax.data.source import open_split
from castream_jax.data.sources import tar_shards
from castream_jax.errors import InputError
from tests.data.conftest import encode_picture


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep nothing in the cache of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def write(file, members, mode="w"):
    """Write a tar of members by name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


def sample(key, label, ending="cls"):
    return {f"{key}.jpg": encode_picture(len(key) + 7 * int(label)), f"{key}.{ending}": label.encode()}


def open_it(name, split="all", **settings):
    return open_split(DataConfig(name=str(name), **settings), split)


def labels_of(source):
    return {source[i]["id"]: source[i]["label"] for i in range(len(source))}


def test_a_folder_of_tars(tmp_path):
    write(tmp_path / "000.tar", sample("a", "0") | sample("b", "1"))
    write(tmp_path / "001.tar", sample("x/c", "2") | sample("x/d", "0"))
    source = open_it(tmp_path)
    assert labels_of(source) == {"a": 0, "b": 1, "x/c": 2, "x/d": 0}
    for index in range(4):
        picture, record, _ = read_picture(source, index)
        assert record["image"] == encode_picture(len(record["id"]) + 7 * record["label"])
        assert picture.image.size == (40, 30)
    place = [source[i]["id"] for i in range(4)].index("x/c")
    assert source.locate(place) == f"{tmp_path}/001.tar, x/c"
    assert labels_of(pickle.loads(pickle.dumps(source))) == labels_of(source)
    assert labels_of(open_it(tmp_path / "000.tar")) == {"a": 0, "b": 1}


def test_splits(tmp_path):
    """A word in the tars' names says them, or folders."""
    write(tmp_path / "words" / "set-train-000.tar", sample("a", "0") | sample("b", "1"))
    write(tmp_path / "words" / "set-validation-000.tar", sample("c", "0"))
    write(tmp_path / "folders" / "train" / "0.tar", sample("a", "0") | sample("b", "1"))
    write(tmp_path / "folders" / "val" / "0.tar", sample("c", "0"))
    for name in ("words", "folders"):
        source = open_it(tmp_path / name, "val")
        assert labels_of(source) == {"c": 0}
        assert source.num_classes == 2
        assert len(open_it(tmp_path / name, "train[:1]")) == 1


def test_labels_of_other_forms(tmp_path):
    write(
        tmp_path / "0.tar",
        {"a.jpg": encode_picture(0), "a.json": b'{"label": 1}'} | {"b.png": encode_picture(1, "PNG"), "b.cls": b"0\n"},
    )
    assert labels_of(open_it(tmp_path)) == {"a": 1, "b": 0}
    write(tmp_path / "0.tar", {"a.jpg": encode_picture(0), "a.txt": b"cat", "a.mask.png": encode_picture(1, "PNG")})
    with pytest.raises(InputError, match="without a picture, or with several"):
        open_it(tmp_path)
    assert open_it(tmp_path, columns="image=jpg, label=txt").class_names == ("cat",)


def test_keys_that_come_twice_are_told_apart(tmp_path):
    for name in ("0", "1"):
        write(tmp_path / f"{name}.tar", sample("a", name))
    assert labels_of(open_it(tmp_path)) == {"0/a": 0, "1/a": 1}


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no such tar"):
        open_it(tmp_path / "x.tar")
    write(tmp_path / "0.tar", {"a.jpg": b"", "b.cls": b"1", **sample("c", "0")})
    with pytest.raises(InputError) as caught:
        open_it(tmp_path)
    assert "2 rows cannot be used" in str(caught.value)
    assert "without a label (data.columns='label=ENDING'): 1, sample 0 ('0.tar: a')" in str(caught.value)
    write(tmp_path / "0.tar", sample("a", "0"), "w:gz")
    with pytest.raises(InputError, match="no whole tar, or a compressed one"):
        open_it(tmp_path)
    write(tmp_path / "0.tar", sample("a", "0") | {"b.jpg": b"", "b.cls": b"x"})
    with pytest.raises(InputError, match="some of its labels are whole numbers"):
        open_it(tmp_path)


def test_a_tar_that_was_cut_short(tmp_path):
    file = write(tmp_path / "0.tar", sample("a", "0") | sample("b", "1"))
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(InputError):
        open_it(tmp_path)


def test_what_a_tar_holds_is_read_once_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tars"
    file = write(folder / "000.tar", sample("a", "0") | sample("b", "1"))
    first = labels_of(open_it(folder))
    with monkeypatch.context() as patch:
        patch.setattr(tar_shards, "_read_keys", lambda _: pytest.fail("it is read again"))
        again = open_it(folder)
        assert labels_of(again) == first
        assert read_picture(again, 0)[1]["image"]
    write(file, sample("a", "1") | sample("b", "0") | sample("c", "1"))
    assert labels_of(open_it(folder)) == {"a": 1, "b": 0, "c": 1}
    (kept,) = (tmp_path / "cache" / "castream_jax" / "listings").glob("*.json")
    kept.write_text("{")
    assert len(open_it(folder)) == 3
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"said": [["a", 1]]}))
    assert len(open_it(folder)) == 3


def test_what_cannot_be_kept_is_read_every_time(tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "tars" / "000.tar", sample("a", "0") | sample("b", "1"))
    assert labels_of(open_it(tmp_path / "tars")) == labels_of(open_it(tmp_path / "tars"))
