"""Images are explained once more by their places in the dataset, and stand beside their own rows."""

import numpy as np

from castream_jax.data.source import Source
from castream_jax.evaluation.shown_images import explain_chosen
from castream_jax.report.selection import Category
from tests.evaluation.synthetic import NULL_PAIRS, PAIRS, create_rows

KEYS = (*PAIRS, *NULL_PAIRS)
SOURCE = Source("invented", "test", [{"label": i} for i in range(20)], tuple(f"class {i}" for i in range(30)))


def measure(source, unreadable=()):
    """Yield batches of 4 of which record i is an image and maps of the value i, as the compiled program would."""
    for first in range(0, len(source), 4):
        records = [source[i]["label"] if i < len(source) else 0 for i in range(first, first + 4)]
        valid = [i < len(source) and records[i - first] not in unreadable for i in range(first, first + 4)]
        images = np.array(records, np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
        maps = np.array(records, np.float32)[None, :, None, None] / 20 * np.ones((len(PAIRS), 1, 2, 2), np.float32)
        yield {"images": images, "valid": np.array(valid), "indices": np.arange(first, first + 4)}, {"maps": maps}


def categories():
    return [Category("a", "", {3: "", 0: ""}), Category("b", "", {3: "", 5: "", 6: "", 4: ""})]


def test_each_image_once_with_its_own_row():
    """Records 1 and 4 could not be read, so the rows are of the others."""
    indices = [i for i in range(20) if i not in (1, 4)]
    found = explain_chosen(measure, SOURCE, categories(), create_rows(KEYS, images=18), indices, KEYS)
    assert found.places == (0, 3, 4, 5, 6)
    assert found.heat_maps.ids == ("image 0", "image 3", "image 4", "image 5", "image 6")
    assert found.heat_maps.titles[1] == "class 3 (GAP: class 4, CA: class 4)"
    assert found.heat_maps.images[:, 0, 0, 0].tolist() == [0, 5, 6, 7, 8] == [indices[place] for place in found.places]
    assert list(found.heat_maps.maps) == list(found.heat_maps.remarks) == list(PAIRS)
    assert found.heat_maps.remarks["grad_cam", "ca"] == ("nothing positive for this class", "", "", "", "")
    assert found.heat_maps.remarks["score_cam", "gap"] == ("not a number", "", "", "", "")
    np.testing.assert_allclose(found.heat_maps.maps[PAIRS[0]][:, 0, 0], np.array([0, 5, 6, 7, 8]) / 20)


def test_an_image_that_can_no_longer_be_read_is_left_out():
    rows = create_rows(KEYS, images=20)
    found = explain_chosen(lambda source: measure(source, {5}), SOURCE, categories(), rows, range(20), KEYS)
    assert found.places == (0, 3, 4, 6)
    nothing = explain_chosen(
        lambda source: measure(source, set(range(20))), SOURCE, categories(), rows, range(20), KEYS
    )
    assert nothing.places == ()
