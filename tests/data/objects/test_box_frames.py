"""Boxes of pictures that EXIF turns lie where the same objects lie in the turned picture."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from castream_jax.data.objects.box_frames import STORED, UPRIGHT, fit_boxes, has_shape, turn_boxes
from castream_jax.data.objects.object_masks import fill_boxes, object_mask
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.errors import InputError

ORIENTATIONS = range(1, 9)
SQUARE = Resize(40, "squash")


def paint(box, size) -> Image.Image:
    """Return a picture in which a box (ymin, xmin, ymax, xmax) in pixels is white."""
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[box[0] : box[2], box[1] : box[3]] = 255
    return Image.fromarray(pixels)


def turn_upright(picture, orientation) -> Image.Image:
    """Return what Pillow makes of a stored picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    return ImageOps.exif_transpose(Image.open(buffer))


@st.composite
def boxes_in_pictures(draw):
    """Return a size (width, height) and a box in it, in pixels."""
    width, height = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return (width, height), (top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width)))


def as_shares(box, size) -> np.ndarray:
    width, height = size
    return np.array([box]) / (height, width, height, width)


@given(boxes_in_pictures(), st.sampled_from(ORIENTATIONS))
def test_a_box_turns_as_its_picture(found, orientation):
    size, box = found
    upright = np.asarray(turn_upright(paint(box, size), orientation)) > 0
    shares = as_shares(box, size)
    turned = turn_boxes(shares, UPRIGHT[orientation])
    np.testing.assert_array_equal(fill_boxes(turned, upright.shape[::-1]), upright)
    np.testing.assert_allclose(turn_boxes(turned, STORED[orientation]), shares, atol=1e-12)


@given(boxes_in_pictures(), st.sampled_from(ORIENTATIONS), st.booleans(), st.booleans(), st.integers(1, 3))
def test_the_size_of_a_file_tells_which_frame_it_means(found, orientation, means_upright, turned, scale):
    """Whatever frame a file means and the picture is used in: the object is where it is, or nobody can know."""
    size, box = found
    stored = paint(box, size)
    upright = turn_upright(stored, orientation)
    used, meant = (upright if turned else stored), (upright if means_upright else stored)
    said = tuple(scale * side for side in meant.size)
    shares = turn_boxes(as_shares(box, size), UPRIGHT[orientation if means_upright else 1])
    record = {"bbox": shares, "bbox_size": said, "bbox_file": "a.xml"}
    differs = meant.size != meant.size[::-1] if scale == 1 else not has_shape(said, meant.size[::-1])
    is_known = orientation == 1 or (orientation >= 5 and differs)
    if turned and not is_known:
        with pytest.raises(InputError, match="may be of the picture as it is stored or as it is seen"):
            object_mask(record, used.size, SQUARE, orientation, turned)
        return
    mask = object_mask(record, used.size, SQUARE, orientation, turned)
    if is_known or not means_upright:  # else taken as stored, which the docs say
        np.testing.assert_array_equal(mask, np.asarray(SQUARE.nearest(used)) > 0)


@given(boxes_in_pictures(), st.sampled_from(ORIENTATIONS), st.booleans())
def test_boxes_that_a_dataset_holds_are_of_the_stored_picture(found, orientation, turned):
    size, box = found
    used = turn_upright(paint(box, size), orientation) if turned else paint(box, size)
    for record in ({"box": as_shares(box, size)[0]}, {"objects": {"bbox": as_shares(box, size)}}):
        mask = object_mask(record, used.size, SQUARE, orientation, turned)
        np.testing.assert_array_equal(mask, np.asarray(SQUARE.nearest(used)) > 0)


def test_another_shape_is_refused():
    for said in ((375, 500), (500, 374 - 2), (500, 500), (250, 375)):
        with pytest.raises(InputError, match="its boxes are of a picture of"):
            fit_boxes(np.zeros((0, 4)), said, (500, 375), 1, False)
    for said in ((500, 375), (250, 188), (250, 187), (1000, 750)):
        assert fit_boxes(np.zeros((0, 4)), said, (500, 375), 1, False).shape == (0, 4)


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.01, 1))
def test_a_resized_copy_has_the_shape_of_its_picture(width, height, factor):
    copy = (max(round(width * factor), 1), max(round(height * factor), 1))
    assert has_shape(copy, (width, height))
    assert has_shape((width, height), copy)
