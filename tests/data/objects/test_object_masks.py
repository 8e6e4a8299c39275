"""Masks and boxes at the evaluated size: by hand, on the demo's records, and where the image's own pixels go."""

import io

import numpy as np
import pytest
from PIL import Image

from castream_jax import InputError
from castream_jax.data.objects.object_masks import decode_mask, fill_boxes, has_truth, object_mask
from castream_jax.data.pictures.decoding import decode
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.source import open_source

SIZES = [(51, 80), (80, 51), (96, 96), (101, 67), (300, 200)]
RESIZES = [Resize(32, "squash"), Resize(32, "crop"), Resize(32, "crop", "bicubic", 48), Resize(64, "squash", "bicubic")]
AS_IS = Resize(96, "squash")


def encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def records(demo_directory) -> list[dict]:
    source = open_source("castream_demo", "test", str(demo_directory))
    return [source[index] for index in range(20)]


# What records hold


def test_masks():
    bits = np.random.default_rng(0).random((6, 9)) < 0.4
    for pixels in (bits * np.uint8(255), bits * np.uint8(1), bits, np.stack([bits * np.uint8(7)] * 3, -1)):
        np.testing.assert_array_equal(decode_mask(encode(pixels)), bits)


def test_trimaps():
    """1 is the pet, 2 what is around it, 3 the border."""
    trimap = np.array([[2, 2, 2, 2], [2, 3, 1, 3], [2, 3, 3, 2]], np.uint8)
    np.testing.assert_array_equal(decode_mask(encode(trimap)), trimap != 2)
    np.testing.assert_array_equal(decode_mask(encode(np.full((2, 2), 2, np.uint8))), np.zeros((2, 2), bool))


def test_boxes():
    expected = np.zeros((4, 10), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(fill_boxes([0.25, 0.2, 0.75, 0.5], (10, 4)), expected)
    expected[3, 9] = True
    np.testing.assert_array_equal(fill_boxes([[0.25, 0.2, 0.75, 0.5], [0.75, 0.9, 1, 1]], (10, 4)), expected)
    assert fill_boxes([-0.5, -0.5, 1.5, 1.5], (10, 4)).all()
    for nothing in ([], [0.5, 0.5, 0.5, 0.5], [0.75, 0.5, 0.25, 0.2]):
        assert not fill_boxes(nothing, (10, 4)).any()


def test_the_first_known_feature_counts():
    box = np.float32([0, 0, 0.5, 1])
    bits = np.arange(96 * 96).reshape(96, 96) % 7 == 0
    half = np.repeat(np.arange(96) < 48, 96).reshape(96, 96)
    everywhere = {"objects": {"bbox": np.float32([[0, 0, 1, 1]])}}
    for record, expected in (
        ({"mask": encode(bits), "box": box}, bits),
        ({"segmentation_mask": encode(bits), "bbox": box}, bits),
        ({"box": box} | everywhere, half),
        ({"bbox": box, "head_bbox": np.float32([0, 0, 1, 1])}, half),
        (everywhere, np.ones((96, 96), bool)),
        ({"objects": {"bbox": np.zeros((0, 4), np.float32)}}, np.zeros((96, 96), bool)),
    ):
        assert has_truth(record)
        found = object_mask(record, (96, 96), AS_IS)
        assert found is not None
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("record", [{}, {"head_bbox": np.zeros(4)}, {"objects": {"label": np.zeros(2)}}])
def test_records_without(record):
    record |= {"image": b"", "label": 3}
    assert not has_truth(record)
    assert object_mask(record, (96, 96), AS_IS) is None


def test_masks_that_cannot_be_used():
    record = {"mask": encode(np.zeros((6, 9), np.uint8))}
    with pytest.raises(InputError, match="mask is 9x6 and the picture 6x9: expected equal sizes"):
        object_mask(record, (6, 9), AS_IS)
    with pytest.raises(InputError, match="cannot read its mask: there is no picture in 40 bytes"):
        object_mask({"mask": record["mask"][:40]}, (9, 6), AS_IS)


def test_a_mask_of_classes_is_no_colours():
    values = np.array([[0, 1, 20], [255, 3, 1]], np.uint8)
    for pixels in (values, values.astype(np.uint16)):
        np.testing.assert_array_equal(decode_mask(encode(pixels), value=1), values == 1)
    with pytest.raises(InputError, match="mode RGB, whose colours are no classes: expected a palette's numbers"):
        decode_mask(encode(np.stack([values] * 3, -1)), value=1)


# The same places as the image's


@pytest.mark.parametrize("resize", RESIZES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_a_mask_goes_where_the_image_goes(size, resize):
    """Columns and rows counted in the picture, resized as an image and as masks."""
    width, height = size
    for axis, length in ((1, width), (0, height)):
        ramp = np.broadcast_to(np.expand_dims(np.arange(length, dtype=np.float32), 1 - axis), (height, width))
        placed = np.asarray(resize(Image.fromarray(np.ascontiguousarray(ramp))))  # [S S], the column or row seen
        for edge in (length // 3, length // 2, 2 * length // 3):
            mask = object_mask({"mask": encode(ramp < edge)}, size, resize)
            assert mask.shape == placed.shape
            clear = np.abs(placed - (edge - 0.5)) > 0.51  # nearest is at most half a pixel off
            np.testing.assert_array_equal(mask[clear], (placed < edge - 0.5)[clear])


@pytest.mark.parametrize("size", [(32, 32), (32, 57), (44, 32)])
def test_without_scaling_every_pixel_stays(size):
    width, height = size
    bits = np.random.default_rng(1).random((height, width)) < 0.5
    left, top = round((width - 32) / 2), round((height - 32) / 2)
    found = object_mask({"mask": encode(bits)}, size, Resize(32, "crop", shorter_side=32))
    np.testing.assert_array_equal(found, bits[top : top + 32, left : left + 32])


def test_an_object_outside_of_the_square_is_an_empty_mask():
    found = object_mask({"bbox": [0, 0, 1, 0.1]}, (300, 100), Resize(32, "crop"))
    assert found is not None
    assert not found.any()


# The demo


def test_the_demo_s_boxes_hold_its_masks(records):
    for record in records:
        assert isinstance(record["mask"], bytes)  # not decoded when the source is opened
        assert has_truth(record)
        mask = object_mask(record, (96, 96), AS_IS)
        box = object_mask({"box": record["box"]}, (96, 96), AS_IS)
        rows, columns = mask.any(1), mask.any(0)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(record["mask"]))) > 0, mask)
        assert box.sum() == box.any(1).sum() * box.any(0).sum()
        for found, side in ((rows, box.any(1)), (columns, box.any(0))):
            np.testing.assert_array_equal(np.flatnonzero(found)[[0, -1]], np.flatnonzero(side)[[0, -1]])


@pytest.mark.parametrize("resize", [Resize(64, "squash"), Resize(64, "crop")], ids=str)
def test_the_demo_s_digits_stand_out_where_the_mask_says(records, resize):
    for record in records:
        picture = decode(record["image"]).image
        mask = object_mask(record, picture.size, resize)
        box = object_mask({"box": record["box"]}, picture.size, resize)
        grey = np.asarray(resize(picture)).mean(-1)
        assert (mask <= box).all()
        assert abs(grey[mask].mean() - grey[box & ~mask].mean()) > 10


@pytest.mark.parametrize(
    "box", [[10, 10, 20, 20], [np.nan, 0, 1, 1], [0.9, 0.1, 0.1, 0.9], [0.1, 0.9, 0.9, 0.1], [0, 0, np.inf, 1]]
)
def test_boxes_that_are_no_shares_of_the_sides(box):
    with pytest.raises(InputError, match=r"a box is \[.*\]: expected \(ymin, xmin, ymax, xmax\) as shares"):
        object_mask({"bbox": [[0.1, 0.1, 0.2, 0.2], box]}, (64, 64), Resize(64, "squash"))


def test_boxes_at_the_edge_and_no_boxes():
    whole = object_mask({"bbox": [[-1e-6, 0, 1, 1.0000001]]}, (8, 8), Resize(8, "squash"))
    assert whole is not None
    assert whole.all()
    nothing = object_mask({"bbox": np.zeros((0, 4))}, (8, 8), Resize(8, "squash"))
    assert nothing is not None
    assert not nothing.any()


def test_a_palette_is_read_by_its_indices():
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:6, 2:6] = 1
    mask = Image.fromarray(pixels).convert("P")
    mask.putpalette([255, 255, 255, 0, 0, 0] + [0] * 762)  # white paper, black ink
    encoded = io.BytesIO()
    mask.save(encoded, "PNG")
    np.testing.assert_array_equal(decode_mask(encoded.getvalue()), pixels > 0)


def test_a_mask_that_is_told_by_alpha():
    pixels = np.full((8, 8, 4), 255, np.uint8)
    np.testing.assert_array_equal(decode_mask(encode(pixels)), np.ones((8, 8), bool))
    pixels[2:6, 2:6, 3] = 0
    with pytest.raises(InputError, match="only its alpha tells places apart"):
        decode_mask(encode(pixels))
