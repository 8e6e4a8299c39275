"""Datasets by name."""

import numpy as np
import pytest

from castream_jax.data.source import open_source
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


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [
        ("castream_dmo", "train", "Did you mean 'castream_demo'"),
        ("castream_demo", "tset", "Did you mean 'test'"),
        ("imagenette", "train", "not prepared"),
    ],
)
def test_mistakes_are_named(name, split, said, demo_directory):
    with pytest.raises(InputError) as caught:
        open_source(name, split, str(demo_directory))
    assert said in str(caught.value)
