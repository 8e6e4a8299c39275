"""Classes by name or label, and what is said of those that are not there."""

import pytest

from castream_jax.config import DataConfig, Experiment
from castream_jax.data.classes.imagenet_names import put_in_words
from castream_jax.errors import InputError
from castream_jax.explanation.classes import find_class_names, find_label, parse_classes

NAMES = ("tench, Tinca tinca", "goldfish", "crane", "great white shark", "crane", "7", "tabby cat", "tiger cat")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("goldfish", (1,)),
        ("tench, Tinca tinca", (0,)),
        ("goldfish, tench, Tinca tinca,6", (1, 0, 6)),
        ("7", (5,)),  # a name before a label
        ("3,3,great white shark", (3,)),
    ],
)
def test_names_and_labels(text, labels):
    assert parse_classes(text, NAMES) == labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("golfish", "unknown class 'golfish'. Did you mean 'goldfish'?"),
        ("Goldfish", "Did you mean 'goldfish'?"),
        ("cat", "'tabby cat' or 'tiger cat'"),
        ("shark", "'great white shark'"),
        ("goldfish,", "unknown class ''. Expected a name, or a label from 0 (tench, Tinca tinca) to 7 (tiger cat)."),
        ("8", "unknown class '8'"),
        ("-1", "unknown class '-1'"),
        ("crane", "ambiguous: give one of the labels 2, 4"),
    ],
)
def test_mistakes_name_what_is_near(text, said):
    with pytest.raises(InputError) as caught:
        parse_classes(text, NAMES)
    assert said in str(caught.value)


def test_labels_that_are_numbers():
    assert find_label(4, NAMES) == 4
    with pytest.raises(InputError, match="unknown class 99"):
        find_label(99, NAMES)


def test_names_of_a_dataset_that_is_not_on_the_disk(tmp_path):
    for name, first, count in (("castream_demo", "0", 10), ("imagenet2012", "tench, Tinca tinca", 1000)):
        found = find_class_names(Experiment(name="x", data=DataConfig(name=name, directory=str(tmp_path))))
        assert (found[0], len(found)) == (first, count)
    assert list(tmp_path.iterdir()) == []


def test_names_of_folders(tmp_path):
    for name in ("b", "a"):
        (tmp_path / "validation" / name).mkdir(parents=True)
        (tmp_path / "validation" / name / "x.png").write_bytes(b"")
    data = DataConfig(name="image_folder", directory=str(tmp_path))
    assert find_class_names(Experiment(name="x", data=data)) == ("a", "b")


@pytest.mark.parametrize(("name", "said"), [("image_folder", "needs data.directory"), ("no_such_set", "no_such_set")])
def test_without_a_dataset_a_file_helps(name, said):
    with pytest.raises(InputError, match=f"(?s){said}.* --class_names=FILE"):
        find_class_names(Experiment(name="x", data=DataConfig(name=name)))


def test_names_of_a_file(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("a cat\ndog, hound\n\n", encoding="utf-8")
    assert find_class_names(Experiment(name="x"), str(file)) == ("a cat", "dog, hound")
    file.write_text("a cat\n", encoding="utf-8-sig")  # as some editors of Windows write it
    assert find_class_names(Experiment(name="x"), str(file)) == ("a cat",)
    for text, said in (("", "it is empty"), ("a\n\nb", "line 2 is empty")):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            find_class_names(Experiment(name="x"), str(file))
    with pytest.raises(InputError, match="cannot be read"):
        find_class_names(Experiment(name="x"), str(tmp_path / "missing.txt"))


def test_a_class_of_imagenet_by_its_words_or_its_number():
    names = put_in_words(("n01440764", "n01443537"))
    assert parse_classes("n01443537,tench,1", names) == (1, 0)
    assert find_label("n01443537", ("n01440764", "n01443537")) == 1
    with pytest.raises(InputError, match="unknown class 'n01484850'"):
        find_label("n01484850", names)
