"""Labels of pictures that show several classes, as rows."""

import numpy as np
import pytest

from castream_jax.data.classes.label_sets import decode_labels, encode_labels
from castream_jax.errors import InputError


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"labels": (2, 0)}, [1, 0, 1]),
        ({"labels": ()}, [0, 0, 0]),
        ({"labels": np.arange(3)}, [1, 1, 1]),
        ({"labels": [np.int64(1)], "unsure_labels": [2]}, [0, 1, 2]),
    ],
)
def test_a_row_says_it_and_says_it_back(record, row):
    found = encode_labels(record, 3)
    assert found.dtype == np.uint8
    assert found.tolist() == row
    np.testing.assert_array_equal(encode_labels(decode_labels(found), 3), found)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"label": 1}, "it has no labels"),
        ({"labels": (0, 3)}, r"its labels are \(0, 3\): expected whole numbers in 0 to 2"),
        ({"labels": (-1,)}, "expected whole numbers"),
        ({"labels": (0.5,)}, "expected whole numbers"),
        ({"labels": 1}, "expected whole numbers"),
        ({"labels": (1, 1)}, "its labels hold class 1, which is there already"),
        ({"labels": (1,), "unsure_labels": (1,)}, "its unsure_labels hold class 1"),
    ],
)
def test_mistakes_are_named(record, said):
    with pytest.raises(InputError, match=said):
        encode_labels(record, 3)
