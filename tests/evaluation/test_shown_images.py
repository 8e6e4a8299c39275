"""Images are explained once more by their places in the dataset, each with its own maps."""

import numpy as np

from castream_jax.data.source import Source
from castream_jax.evaluation.shown_images import show_images
from tests.evaluation.synthetic import PAIRS

SOURCE = Source("invented", "test", [{"label": i} for i in range(20)], tuple(f"class {i}" for i in range(30)))


def measure(source, unreadable=()):
    """Yield batches of 4 of which record i is an image and maps of the value i, as the compiled program would."""
    for first in range(0, len(source), 4):
        records = [source[i]["label"] if i < len(source) else 0 for i in range(first, first + 4)]
        valid = [i < len(source) and records[i - first] not in unreadable for i in range(first, first + 4)]
        images = np.array(records, np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
        maps = np.array(records, np.float32)[None, :, None, None] / 20 * np.ones((len(PAIRS), 1, 2, 2), np.float32)
        yield {"images": images, "valid": np.array(valid), "indices": np.arange(first, first + 4)}, {"maps": maps}


PLACES = [3, 0, 3, 5, 6, 4]


def test_each_image_once_with_its_own_maps():
    """Records 1 and 4 could not be read, so the rows are of the others."""
    indices = [i for i in range(20) if i not in (1, 4)]
    shown = show_images(measure, SOURCE, PLACES, indices, PAIRS)
    assert shown.places == (0, 3, 4, 5, 6)
    assert shown.images[:, 0, 0, 0].tolist() == [0, 5, 6, 7, 8] == [indices[place] for place in shown.places]
    assert list(shown.maps) == list(PAIRS)
    np.testing.assert_allclose(shown.maps[PAIRS[0]][:, 0, 0], np.array([0, 5, 6, 7, 8]) / 20)


def test_an_image_that_can_no_longer_be_read_is_left_out():
    assert show_images(lambda source: measure(source, {5}), SOURCE, PLACES, range(20), PAIRS).places == (0, 3, 4, 6)
    nothing = show_images(lambda source: measure(source, set(range(20))), SOURCE, PLACES, range(20), PAIRS)
    assert nothing.places == ()
    assert nothing.maps == {}
