"""Classes in the order of their labels: from names of folders, from a list, and beside what a network knows."""

import itertools
import logging
import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from castream_jax import notices
from castream_jax.cli.prepare import main
from castream_jax.config import DataConfig
from castream_jax.data.classes.class_names import (
    check_class_names,
    check_label,
    name_labels,
    order_folders,
    read_class_list,
)
from castream_jax.data.source import Source, open_source, open_split
from castream_jax.data.sources.image_folder import open_folder
from castream_jax.errors import InputError

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=8, unique=True)


@pytest.fixture
def log(monkeypatch, caplog):
    """Return the log, in which everything can be said anew."""
    monkeypatch.setattr(notices, "_SAID", set())
    caplog.set_level(logging.WARNING, "castream_jax")
    return caplog


def fill(root, **splits):
    """Make splits of an image folder: classes, each with how many pictures it has."""
    for split, classes in splits.items():
        for name, count in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.png").write_bytes(name.encode())
    return root


def labels_of(source) -> dict[str, int]:
    """Return the label of each class that has pictures."""
    return {source[i]["image"].decode(): source[i]["label"] for i in range(len(source))}


@given(st.permutations([str(i) for i in range(8, 13)]), st.integers(-3, 3))
def test_numbers_are_in_the_order_of_numbers(names, offset):
    place = Path("pictures")
    shifted = [str(int(name) + offset) for name in names]
    assert list(order_folders(shifted, place)) == [str(i + offset) for i in range(8, 13)]
    padded = [f"{int(name):04}" for name in names]
    assert list(order_folders(padded, place)) == sorted(padded)


@given(NAMES)
def test_other_names_are_in_the_order_of_text(names):
    assume(not all(name.lstrip("-").isascii() and name.lstrip("-").isdecimal() for name in names))
    assert list(order_folders(names, Path("pictures"))) == sorted(names)


def test_folders_of_numbers(tmp_path, log):
    """All splits have the same order, and it is said once; padded numbers are in both orders, and nothing is said."""
    classes = {str(i): 1 for i in range(1, 11)}
    root = fill(tmp_path / "plain", train=classes, val=classes)
    for split in ("train", "val"):
        source = open_source("image_folder", split, str(root))
        assert source.class_names == tuple(map(str, range(1, 11)))
        assert labels_of(source) == {str(i): i - 1 for i in range(1, 11)}
    assert log.messages == [
        f"the classes of {root} are numbers, and are labelled in the order of numbers: 1, 2, 3, 4, 5 and 5 more. "
        "torchvision's ImageFolder would sort them as text (1, 10, 2, 3, 4 and 5 more): for weights trained so, list "
        f"the classes in that order, one in each line, in {root}/classes.txt or a file that data.classes names."
    ]
    padded = fill(tmp_path / "padded", val={f"{i:02}": 1 for i in range(1, 11)})
    assert open_folder(padded, "val").class_names[-1] == "10"
    assert len(log.messages) == 1


def test_one_number_twice_is_refused(tmp_path):
    root = fill(tmp_path, val={"1": 1, "2": 1, "01": 1})
    with pytest.raises(InputError, match="'01' and '1' of .* are the same number: rename one, or list"):
        open_folder(root, "val")
    (root / "classes.txt").write_text("01\n1\n2\n")
    assert labels_of(open_folder(root, "val")) == {"01": 0, "1": 1, "2": 2}


@pytest.mark.parametrize("where", ["root", "setting"])
def test_a_list_gives_the_order(where, tmp_path, monkeypatch, log):
    root = fill(tmp_path / "pictures", val={"1": 2, "10": 2, "2": 2})
    file = root / "classes.txt" if where == "root" else tmp_path / "order.txt"
    file.write_bytes(b"\xef\xbb\xbf10\r\n2 \r\n1\r\n\r\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    data = DataConfig("image_folder", str(root), classes="" if where == "root" else "~/order.txt")
    for _ in range(2):
        source = open_split(data, "val")
        assert source.class_names == ("10", "2", "1")
        assert labels_of(source) == {"10": 0, "2": 1, "1": 2}
    said = log.messages
    assert said == ([f"the classes of {root} are labelled in the order of {file}."] if where == "root" else [])


def test_the_setting_comes_before_the_list_at_the_root(tmp_path):
    root = fill(tmp_path / "pictures", val={"a": 1, "b": 1})
    (root / "classes.txt").write_text("a\nb")
    (tmp_path / "order.txt").write_text("b\na")
    assert open_folder(root, "val", str(tmp_path / "order.txt")).class_names == ("b", "a")


def test_a_split_may_lack_classes_that_the_list_has(tmp_path, log):
    root = fill(tmp_path, train={"a": 1, "b": 1, "c": 1}, val={"c": 2, "b": 0})
    with pytest.raises(
        InputError, match=r"'train' adds a.*or list all classes by label, one in each line, in .*classes\.txt"
    ):
        open_folder(root, "val")
    (root / "classes.txt").write_text("a\nb\nc\n")
    log.clear()
    for _ in range(2):
        assert labels_of(open_folder(root, "val")) == {"c": 2}
    assert log.messages[1:] == [f"{root}/val has no pictures of 2 of the 3 classes of the list: a, b."]
    for file in (root / "val" / "c").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no pictures of any of its 3 classes"):
        open_folder(root, "val")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a\n", "val has 1 folders that the list of classes lacks: b. The list has 1 classes, a: expected the name"),
        (b"a\nb\na\n", r"lines 1 and 3 are both 'a'; expected each class once"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"a\xff\nb", r"cannot be read \(.*expected a text file in UTF-8"),
    ],
)
def test_lists_that_do_not_fit_are_refused(text, said, tmp_path):
    root = fill(tmp_path / "pictures", val={"a": 1, "b": 1})
    for file in (tmp_path / "order.txt", root / "classes.txt"):
        file.write_bytes(text)
        with pytest.raises(InputError, match=said):
            open_folder(root, "val", "" if file.parent == root else str(file))


def test_what_is_no_list_is_refused_at_once(tmp_path):
    root = fill(tmp_path, val={"a": 1, "b": 1})
    os.mkfifo(tmp_path / "pipe")
    for file in ("pipe", "missing", "nul\0", "val"):
        with pytest.raises(InputError, match="cannot be read"):
            read_class_list(str(tmp_path / file))
    (root / "classes.txt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"classes\.txt cannot be read \(it is a device: expected a file"):
        open_folder(root, "val")
    (root / "classes.txt").unlink()
    (root / "classes.txt").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"classes\.txt cannot be read"):
        open_folder(root, "val")


def test_a_copy_keeps_the_order(tmp_path, capsys):
    classes = {str(i): 1 for i in range(1, 11)}
    root = fill(tmp_path / "pictures", train=classes, val=classes)
    order = [str(i) for i in (3, 1, 2, *range(4, 11))]
    (tmp_path / "order.txt").write_text("\n".join(order))
    main(["prepare", "numbers", f"--images={root}", f"--directory={tmp_path}"])
    main(["prepare", "listed", f"--images={root}", f"--directory={tmp_path}", f"--classes={tmp_path / 'order.txt'}"])
    for name, names in (("numbers", list(map(str, range(1, 11)))), ("listed", order)):
        source = open_source(name, "val", str(tmp_path))
        assert source.class_names == tuple(names)
        assert labels_of(source) == {name: label for label, name in enumerate(names)}
    with pytest.raises(SystemExit):
        main(["prepare", "castream_demo", f"--classes={tmp_path / 'order.txt'}"])
    assert "give --images=ROOT too" in capsys.readouterr().err


def test_a_copy_of_a_picture_that_is_gone_ends_in_one_message(tmp_path, capsys):
    root = fill(tmp_path / "pictures", val={"a": 1, "b": 1})
    (root / "val" / "a" / "gone.png").symlink_to("nowhere")
    with pytest.raises(SystemExit):
        main(["prepare", "gone", f"--images={root}", f"--directory={tmp_path}"])
    assert "gone.png" in capsys.readouterr().err


def test_a_list_only_names_the_labels_of_other_datasets(demo_directory, tmp_path):
    file = tmp_path / "words.txt"
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    file.write_text("\n".join(words))
    open_demo = lambda: open_source("castream_demo", "test", str(demo_directory), classes=str(file))  # noqa: E731
    assert open_demo().class_names == words
    assert open_demo()[0]["label"] == open_source("castream_demo", "test", str(demo_directory))[0]["label"]
    file.write_text("\n".join("0123456789"))
    assert open_demo().class_names == tuple("0123456789")
    for text, said in (
        (
            "\n".join("1023456789"),
            r"'0' is 0 in the dataset and 1 in the list, '1' is 1 in the dataset and 0 in the list",
        ),
        ("a\nb", "lists 2 classes: the dataset has 10, from '0' to '9'"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            open_demo()


@pytest.mark.parametrize("label", [10, -1, 2.0, "2", None, 1 << 70])
def test_labels_that_no_class_has_are_refused(label):
    with pytest.raises(InputError, match=r"its label is .*: expected a whole number in 0 to 9"):
        check_label({"label": label}, 10)


def test_records_with_wrong_labels_are_bad_records():
    source = Source(
        "pets", "test", [{"image": b""}, {"label": 1, "image": b""}, {"label": 2, "image": b""}], ("a", "b")
    )
    assert source[1]["label"] == 1
    for index, said in ((0, "it has no label"), (2, "its label is 2")):
        with pytest.raises(InputError, match=said):
            source[index]
    other = Source("pets", "test", [*source.records[:2], {"label": 0, "image": b""}], ("a", "b"))
    assert other.digest() != source.digest()


@given(NAMES)
def test_one_order_is_no_news(names):
    check_class_names(names, names, "the network")
    check_class_names((), names, "the network")


@given(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=5, unique=True), st.randoms())
def test_every_other_order_is_refused(names, random):
    shuffled = random.sample(names, len(names))
    assume(shuffled != names)
    with pytest.raises(InputError, match=r"in another order than the dataset.*--config\.data\.classes=FILE"):
        check_class_names(names, shuffled, "the network")


def test_every_order_of_numbers_but_one_is_refused():
    for names in itertools.permutations("1234"):
        if names != tuple("1234"):
            with pytest.raises(InputError, match=r"'[1-4]' is \d in the network and \d in the dataset"):
                check_class_names(tuple("1234"), names, "the network")


def test_other_names_are_said(log):
    check_class_names(("cat", "dog", "fox", "hen"), ("Katze", "Hund", "Fuchs", "hen"), "the network in runs/x")
    assert log.messages == [
        "the network in runs/x has other names for 3 of the dataset's 4 classes: label 0 is 'cat' there and 'Katze' "
        "here, 1 is 'dog' there and 'Hund' here, 2 is 'fox' there and 'Fuchs' here. Labels are taken as they are."
    ]
    check_class_names(tuple("0123456789"), tuple(map(str, range(1, 11))), "the network")
    assert "label 0 is '0' there and '1' here" in log.messages[1]
    with pytest.raises(InputError, match="'b' is 0 in the network and 1 in the dataset"):
        check_class_names(("b", "c"), ("a", "b"), "the network")
    with pytest.raises(InputError, match="knows 2 classes by name: the dataset has 3"):
        check_class_names(("b", "c"), ("a", "b", "c"), "the network")


def test_names_that_several_labels_have():
    """As ImageNet's cranes: a bird and a machine."""
    assert name_labels(("n0", "n1", "n2"), ("crane", "dog", "crane"), "x.txt") == ("crane", "dog", "crane")
    check_class_names(("crane", "dog", "crane"), ("crane", "dog", "crane"), "the network")
