"""Pictures in folders, by index."""

import pickle
import shutil

import grain.python as grain
import numpy as np
import pytest

from castream_jax.data.source import open_source
from castream_jax.data.sources.image_folder import open_folder
from castream_jax.errors import InputError

NAMES = ["cat/a.jpg", "cat/b.JPEG", "cat/deep/c.png", "dog/x.webp", "dog/y.jpeg", "élan/z.bmp"]


def test_pictures_are_found_and_the_rest_is_passed_over(image_root):
    folder = open_folder(image_root, "train")
    found = {folder[index]["id"]: folder[index]["label"] for index in range(len(folder))}
    assert found == dict(zip(NAMES, [0, 0, 0, 1, 1, 2], strict=True))
    assert folder.class_names == ("cat", "dog", "élan")


def test_a_record_is_the_file(image_root):
    source = open_source("image_folder", "train", str(image_root))
    assert (source.num_classes, len(source)) == (3, 6)
    for index in range(6):
        path = image_root / "train" / source[index]["id"]
        assert source[index]["image"] == path.read_bytes()
        assert source.locate(index) == str(path)


def test_the_order_is_the_names_alone_and_mixes_the_classes(tmp_path):
    for name in ("here", "there"):
        for i in range(60):
            path = tmp_path / name / "train" / "abc"[i // 20] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    here, there = (open_folder(tmp_path / name, "train") for name in ("here", "there"))
    assert list(here.names) == list(there.names)
    assert set(here.labels[:12]) == {0, 1, 2}
    assert sorted(here.names) == sorted(f"{'abc'[i // 20]}/{i}.jpg".encode() for i in range(60))


def test_the_folder_is_listed_once(image_root):
    folder = open_folder(image_root, "train")
    (image_root / "train" / "cat" / "0.jpg").write_bytes(b"")
    assert len(folder) == 6
    assert b"cat/0.jpg" not in folder.names


def test_workers_get_it_cheaply(image_root):
    folder = open_folder(image_root, "train")
    copied = pickle.loads(pickle.dumps(folder))
    assert [copied[index] for index in range(6)] == [folder[index] for index in range(6)]
    large = type(folder)(
        image_root, ("a",), np.full(100_000, b"n01440764/n01440764_10026.JPEG"), np.zeros(100_000, int)
    )
    assert len(pickle.dumps(large)) < 100_000 * 40


def test_grain_reads_it(image_root):
    source = open_source("image_folder", "val", str(image_root))
    dataset = grain.MapDataset.source(source).map(lambda record: record["id"])
    assert sorted(dataset) == ["cat/v.jpg", "dog/w.jpg", "élan/u.gif"]


def test_symbolic_links_count_as_what_they_point_to(image_root, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "train").symlink_to(image_root / "train")
    assert len(open_folder(linked, "train")) == 6


def test_links_in_a_circle_are_named_and_passed_over(image_root, caplog):
    (image_root / "train" / "cat" / "deep" / "up").symlink_to(image_root / "train" / "cat")
    (image_root / "train" / "dog" / "self").symlink_to("self")
    (image_root / "train" / "again").symlink_to(image_root)
    assert len(open_folder(image_root, "train")) == 6
    assert "Links in a circle are not followed: 'again', 'deep/up', 'self'." in caplog.text


def test_what_is_not_read_is_named(image_root, caplog):
    for name in ("cat/1.HEIC", "cat/2.heic", "dog/3.mov", "dog/deep/4.heic", "dog/5.heic"):
        path = image_root / "train" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert len(open_folder(image_root, "train")) == 6
    open_folder(image_root, "train")
    assert caplog.text.count("5 files are not read: 4 HEIC") == 1  # once for a run
    assert "1 video ('3.mov')" in caplog.text
    for path in (image_root / "val" / "dog").iterdir():
        path.rename(path.with_suffix(".heif"))
    with pytest.raises(InputError, match="val/dog has no pictures"):
        open_folder(image_root, "val")
    assert "1 HEIC ('w.heif'). HEIC: convert it to JPEG or PNG" in caplog.text


@pytest.mark.parametrize(
    ("change", "split", "said"),
    [
        (lambda root: None, "dev", "no split 'dev': its sub-folders are its splits (test, train, val)"),
        (lambda root: None, "test", "no classes"),
        (lambda root: shutil.rmtree(root), "train", "does not exist: expected"),
        (lambda root: (root / "train" / "emu").mkdir(), "train", "'val' lacks emu"),
        (lambda root: (root / "val" / "emu").mkdir(), "train", "'val' adds emu"),
        (lambda root: (root / "val" / "dog").rename(root / "val" / "Dog"), "train", "'val' lacks dog and adds Dog"),
        (lambda root: (root / "val" / "dog" / "w.jpg").unlink(), "val", "val/dog has no pictures"),
    ],
)
def test_mistakes_are_named(image_root, change, split, said):
    change(image_root)
    with pytest.raises(InputError) as caught:
        open_source("image_folder", split, str(image_root))
    assert said in str(caught.value)


def test_many_different_classes_are_not_all_listed(image_root):
    for index in range(1000):
        (image_root / "train" / f"class{index:04}").mkdir()
    with pytest.raises(InputError, match="class0004 and 995 more"):
        open_folder(image_root, "val")


def test_the_directory_must_be_given():
    with pytest.raises(InputError, match=r"needs data\.directory"):
        open_source("image_folder", "train")
