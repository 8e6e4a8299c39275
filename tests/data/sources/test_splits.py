"""Splits by name, and parts of them."""

import contextlib
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castream_jax.data.source import open_source
from castream_jax.data.sources.splits import find_split, match_split, parse_split
from castream_jax.errors import InputError


@given(st.integers(1, 1000), st.integers(0, 100), st.integers(0, 100))
def test_percentages_cut_without_rest(count, one, other):
    """Parts that meet have each picture once."""
    cuts = sorted({0, one, other, 100})
    found = list[int]()
    for start, stop in itertools.pairwise(cuts):
        with contextlib.suppress(InputError):  # a part that is too small has no pictures
            found += parse_split(f"val[{start}%:{stop}%]").places(count)
    assert found == list(range(count))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("val", range(40)),
        ("val[:10]", range(10)),
        ("val[10:]", range(10, 40)),
        ("val[30:1000]", range(30, 40)),
        ("val[10%:20%]", range(4, 8)),
        ("val[:]", range(40)),
    ],
)
def test_parts(text, places):
    assert parse_split(text).places(40) == places


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("val[1:2", "expected a name, or a part of one"),
        ("val[-1:]", "expected a name, or a part of one"),
        ("val[3]", "expected a name, or a part of one"),
        ("", "expected a name"),
        ("val[10%:120%]", "120% is no percentage"),
        ("val[40:]", "has no pictures: 'val' has 40"),
        ("val[10:10]", "has no pictures"),
    ],
)
def test_other_parts_are_refused(text, said):
    with pytest.raises(InputError) as caught:
        parse_split(text).places(40)
    assert said in str(caught.value)


def test_one_word_for_another():
    assert match_split("validation", ["train", "val"]) == "val"
    assert match_split("val", ["train", "validation"]) == "validation"
    assert match_split("validation", ["val", "valid"]) is None
    assert match_split("dev", ["dev", "val"]) == "dev"
    with pytest.raises(InputError, match="unknown split of x 'tset'. Did you mean 'test'?"):
        find_split("tset", ["train", "test"], "x")


def test_a_part_of_a_dataset(demo_directory):
    whole = open_source("castream_demo", "test", str(demo_directory))
    part = open_source("castream_demo", "test[10:50%]", str(demo_directory))
    assert len(part) == 10
    assert part.split == "test[10:50%]"
    assert [part[i]["id"] for i in range(10)] == [whole[i]["id"] for i in range(10, 20)]
    assert part.locate(0) == whole.locate(10)
    assert pickle.loads(pickle.dumps(part))[3]["id"] == whole[13]["id"]
    assert (
        len({part.digest(), whole.digest(), open_source("castream_demo", "test[:10]", str(demo_directory)).digest()})
        == 3
    )
    with pytest.raises(IndexError):
        part[10]


def test_parts_of_image_folders(image_root):
    found = [open_source("image_folder", split, str(image_root)) for split in ("train[:3]", "train[3:]", "train")]
    ids = [[source[i]["id"] for i in range(len(source))] for source in found]
    assert ids[0] + ids[1] == ids[2]
