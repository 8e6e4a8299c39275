"""Datasets by name."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError
from tests.demo_data import SIZES


def test_the_demo_is_made_on_first_use(demo_directory):
    source = open_source("castream_demo", "train", str(demo_directory))
    assert len(source) == SIZES["train"]
    assert source.class_names == tuple("0123456789")
    record = source[3]
    assert isinstance(record["image"], bytes)
    assert isinstance(record["mask"], bytes)
    assert record["id"] == b"train_00003"
    assert 0 <= record["label"] < 10
    assert np.asarray(record["box"]).shape == (4,)


def test_a_record_is_located(demo_directory):
    source = open_source("castream_demo", "test", str(demo_directory))
    file, position = source.locate(7).split(", ")
    assert Path(file).name == "castream_demo-test.array_record-00000-of-00001"
    assert Path(file).is_file()
    assert position == "position 7"
    assert Source("pets", "test", [{}], ("cat",)).locate(0) == "record 0 of pets, split test"


def test_the_digest_is_that_of_what_is_read(demo_directory, tmp_path):
    """It is the same in another place, and another one for another split, another content or another size."""
    shutil.copytree(demo_directory / "castream_demo", tmp_path / "castream_demo")
    source, other = (open_source("castream_demo", "test", str(place)) for place in (demo_directory, tmp_path))
    assert source.digest() == other.digest()
    assert source.digest() != open_source("castream_demo", "train", str(demo_directory)).digest()
    for i in range(4):
        folder = tmp_path / "pictures" / "test" / f"class {i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(source[i]["image"])
    digests = [open_source("image_folder", "test", str(tmp_path / "pictures")).digest()]
    flipped = bytearray(source[3]["image"])
    flipped[-1] ^= 1
    for change in (bytes(flipped), source[3]["image"] + b"0"):
        (folder / "3.png").write_bytes(change)
        digests.append(open_source("image_folder", "test", str(tmp_path / "pictures")).digest())
    (folder / "3.png").unlink()
    (folder / "3.png").symlink_to("nowhere")
    digests.append(open_source("image_folder", "test", str(tmp_path / "pictures")).digest())
    assert len(set(digests)) == len(digests)


def test_workers_get_it_cheaply(demo_directory):
    source = open_source("castream_demo", "test", str(demo_directory))
    sent = pickle.dumps(source)
    assert len(sent) < 20_000
    assert pickle.loads(sent)[3]["image"] == source[3]["image"]


def test_the_newest_version_on_disk_stands_in_for_the_one_tfds_would_make(demo_directory, tmp_path):
    for version in ("0.9.0", "0.10.0"):
        shutil.copytree(demo_directory / "castream_demo" / "1.0.0", tmp_path / "cifar10" / version)
    (tmp_path / "cifar10" / "0.11.0.unfinished").mkdir()
    assert "/0.10.0/" in open_source("cifar10", "train", str(tmp_path)).locate(0)
    assert "/0.9.0/" in open_source("cifar10:0.9.0", "train", str(tmp_path)).locate(0)


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [
        ("castream_dmo", "train", "Did you mean 'castream_demo'"),
        ("castream_demo", "tset", "Did you mean 'test'"),
        ("imagenette", "train", "not prepared"),
        ("imagenette/320px-v2", "train", "castream prepare imagenette/320px-v2 --directory="),
        ("imagenette/321px-v2", "train", "unknown variant of imagenette '321px-v2'. Did you mean '320px-v2'?"),
        ("imagenette:9.9.9", "train", "cannot be loaded at version 9.9.9, only: 1.0.0"),
        ("cifar10/small", "train", "unknown variant of cifar10 'small'"),
        ("image net", "train", "there is no such folder or file; expected one, or a name as in cifar10"),
        ("huggingface:x", "train", "there is no such folder or file; expected one, or a name as in cifar10"),
        ("mit67", "train", "castream prepare mit67 --manual=DIR"),
        ("imagenet2012", "train", "castream prepare imagenet2012 --manual=DIR --directory="),
        ("imagenet", "train", "castream prepare imagenet --manual=DIR --directory="),
        ("imagenet_r2", "train", "Did you mean 'imagenet_r' or 'imagenet_v2'"),
        ("castream_demo", "train[50%:", "expected a name, or a part of one, as in val[:1000]"),
    ],
)
def test_mistakes_are_named(name, split, said, demo_directory):
    with pytest.raises(InputError) as caught:
        open_source(name, split, str(demo_directory))
    assert said in str(caught.value)


def test_other_labels_are_refused(demo_directory, tmp_path):
    shutil.copytree(demo_directory / "castream_demo" / "1.0.0", tmp_path / "numbers" / "1.0.0")
    features = tmp_path / "numbers" / "1.0.0" / "features.json"
    text = features.read_text()
    changed = text.replace("class_label_feature.ClassLabel", "text_feature.Text").replace("classLabel", "text")
    features.write_text(changed.replace('"numClasses": "10"', ""))
    with pytest.raises(InputError, match="a label that is one class"):
        open_source("numbers", "train", str(tmp_path))
