"""Arrays that users hand over: refused where they cannot be what is meant, warned of where they hardly are."""

import re

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from castream_jax.binding.arrays import MARGIN, check_images, check_labels, check_maps, check_pixels
from castream_jax.errors import InputError
from castream_jax.models.classifier import create_model
from castream_jax.models.inputs import IMAGENET, Normalisation

HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
PIXELS[0, 0, 0], PIXELS[1, 0, 0] = 0, 255


MODEL = nnx.eval_shape(lambda: create_model("resnet18_small", "gap", num_classes=5))
"""Without weights: its facts are enough here."""


def check(images, normalisation: Normalisation = IMAGENET) -> np.ndarray:
    MODEL.normalisation = normalisation
    return check_images(MODEL, images)


def normalise(values: np.ndarray, normalisation: Normalisation = IMAGENET) -> np.ndarray:
    """Return `(values - mean) / std`."""
    return (values - np.array(normalisation.mean)) / np.array(normalisation.std)


IMAGES = normalise(PIXELS / 255).astype(np.float32)


class Tensor:
    """An array that behaves as a tensor of torch does."""

    def __init__(self, values, needs_gradient=False, on_device=False, dtype="torch.float32"):
        self.values, self.needs_gradient, self.on_device, self.dtype = values, needs_gradient, on_device, dtype
        self.shape = values.shape

    def detach(self):
        return Tensor(self.values, False, self.on_device, self.dtype)

    def cpu(self):
        return Tensor(self.values, self.needs_gradient, False, self.dtype)

    def float(self):
        return Tensor(self.values, self.needs_gradient, self.on_device)

    def __array__(self, dtype=None, copy=None):
        if self.needs_gradient:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.on_device:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize(
    ("images", "tolerance"),
    [
        (IMAGES.astype(np.float64), 0),
        (IMAGES.astype(np.float16), 2e-3),
        (IMAGES.astype(ml_dtypes.bfloat16), 2e-2),
        (jnp.asarray(IMAGES, jnp.bfloat16), 2e-2),
        (IMAGES.tolist(), 0),
        (list(IMAGES), 0),
        (Tensor(IMAGES, needs_gradient=True, on_device=True), 0),
        (Tensor(IMAGES, dtype="torch.bfloat16"), 0),
        ([Tensor(image, needs_gradient=True) for image in IMAGES], 0),
    ],
)
def test_images_of_every_kind(images, tolerance):
    found = check(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, IMAGES, atol=tolerance)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([IMAGES[0], IMAGES[1, :4]], r"entries of different shapes, \(8, 6, 3\) and \(4, 6, 3\): expected one shape"),
        ([[1, 2], [3]], "different shapes"),
        (None, "images are objects, such as None: expected an array of numbers"),
        ("cat.jpg", "images are text, such as .*cat.jpg.*: expected an array"),
        (np.array([IMAGES[0], None], dtype=object), "images are objects"),
        (IMAGES.astype(complex), "complex numbers"),
        (PIXELS, r"images are uint8: expected normalised floats, .* as model\.normalisation makes"),
        (PIXELS.astype(np.int64), "images are int64: expected normalised floats"),
        (np.moveaxis(IMAGES, 3, 1), r"\(2, 3, 8, 6\): .*channels first: give images\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 3, 8, 3)), r"\(2, 3, 8, 3\): .*channels first"),
        (IMAGES[..., :1], "Of grey, give np.repeat"),
        (np.zeros((2, 8, 6, 4)), "alpha channel"),
        (IMAGES[0], r"A single one goes in as images\[None\]"),
        (np.moveaxis(IMAGES[0], 2, 0), r"goes in as images\.transpose\(1, 2, 0\)\[None\]"),
        (IMAGES[:0], r"\(0, 8, 6, 3\): expected \[B H W 3\]"),
        (IMAGES[None], r"expected \[B H W 3\]"),
        (IMAGES * np.float64(1e300), r"images \[0, 1\] .* infinite"),
        (np.where(np.arange(2)[:, None, None, None] == 1, np.nan, IMAGES), r"images \[1\] .* NaN"),
        (
            PIXELS.astype(float),
            r"images \[0, 1\] .* are in 0\.\.255: a pixel that is normalised for resnet18_small is in -2",
        ),
        (normalise(IMAGES), r"images \[0, 1\] .* Normalise uint8 pixels once: model\.normalisation\(pixels\)"),
        (np.where(np.arange(2)[:, None, None, None] == 1, 255, IMAGES), r"images \[1\] of the batch are in"),
    ],
)
def test_images_that_cannot_be_what_is_meant(images, said):
    with pytest.raises(InputError, match=said):
        check(images)


SHARES = st.floats(0, 1)
MEANS, STDS = st.tuples(SHARES, SHARES, SHARES), st.tuples(*[st.floats(0.02, 1)] * 3)


def is_possible(images: np.ndarray, normalisation: Normalisation) -> bool:
    """Return whether images, back in pixels, are in 0..1 but for the margin; away from its edge by rounding."""
    pixels = images * np.array(normalisation.std) + np.array(normalisation.mean)
    return bool((pixels >= -MARGIN).all() and (pixels <= 1 + MARGIN).all())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MEANS, STDS, st.floats(-0.09, 0.09))
def test_every_picture_is_possible_and_what_no_picture_can_be_is_refused(mean, std, overshoot):
    """Pixels that are black and white, of every mean and std: once, not at all, and twice normalised."""
    normalisation = Normalisation(mean, std)
    once = normalise(PIXELS / 255 * (1 + 2 * abs(overshoot)) - abs(overshoot), normalisation)
    check(once, normalisation)
    plain = normalise(PIXELS / 255, normalisation)
    for images in (PIXELS.astype(float), PIXELS / 255, normalise(plain, normalisation)):
        if is_possible(images, normalisation):
            check(images, normalisation)
        else:
            with pytest.raises(InputError, match="a pixel that is normalised for resnet18_small is in"):
                check(images, normalisation)


@pytest.mark.parametrize("normalisation", [IMAGENET, HALF])
def test_the_usual_normalisations_show_what_was_not_or_twice_normalised(normalisation):
    for images in (PIXELS.astype(float), normalise(normalise(PIXELS / 255, normalisation), normalisation)):
        with pytest.raises(InputError, match="a pixel that is normalised"):
            check(images, normalisation)


@pytest.mark.parametrize(
    ("images", "normalisation", "said"),
    [
        (
            PIXELS / 255,
            IMAGENET,
            "in 0..1, as pixels in 0..1 are. Normalised for resnet18_small they are in -2.12..2.64",
        ),
        (PIXELS / 255, HALF, "in 0..1, as pixels in 0..1 are. Normalised for resnet18_small they are in -1..1"),
        (
            PIXELS / 127.5 - 1,
            IMAGENET,
            "in -1..1, as pixels in -1..1 are. Normalised for resnet18_small they are in -2.12..2.64",
        ),
        (PIXELS / 127.5 - 1, HALF, ""),
        (PIXELS / 255, Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ""),
        (IMAGES, IMAGENET, ""),
        (np.concatenate([IMAGES[:1], PIXELS[:1] / 255]), IMAGENET, ""),
        (np.zeros_like(IMAGES), IMAGENET, ""),
        (np.ones_like(IMAGES), IMAGENET, ""),
        (normalise(0.4 + 0.1 * PIXELS / 255), IMAGENET, ""),
    ],
)
def test_a_batch_that_was_hardly_normalised_is_warned_of(images, normalisation, said, caplog):
    check(images, normalisation)
    assert [said in message for message in caplog.messages] == ([True] if said else [])


@pytest.mark.parametrize(
    "labels",
    [[1, 4], (1, 4), np.array([1, 4], np.uint8), jnp.array([1, 4]), Tensor(np.array([1, 4])), np.int64([1, 4])],
)
def test_labels_of_every_kind(labels):
    found = check_labels(MODEL, labels, 2)
    assert (found.tolist(), found.dtype) == ([1, 4], np.int32)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, r"labels are None: expected 2 integers, .* model\(images\)\.argmax\(-1\)"),
        ([1.0, 2.0], r"labels are float64 of shape \(2,\): expected 2 integers, .* give them as integers"),
        ([True, False], "labels are bool"),
        (np.eye(5)[[1, 2]], r"labels are float64 of shape \(2, 5\): .*one-hot .*argmax\(-1\)"),
        (np.eye(5, dtype=int)[[1, 2]], r"labels are int64 of shape \(2, 5\): .*one-hot .*argmax\(-1\)"),
        (1, r"labels are int64 of shape \(\): expected 2 integers"),
        ([1, 2, 3], r"labels are int64 of shape \(3,\): expected 2 integers"),
        ([[1, 2]], r"labels are int64 of shape \(1, 2\): expected 2 integers"),
        (
            ["cat", "dog"],
            "labels are text, such as .*cat.*: expected integers; of a class by name, its place in the list",
        ),
        ([1, None], "labels are objects, such as 1: expected integers"),
        ([1, [2]], "labels have entries of different shapes"),
        ([1, 5], "label 5 is out of range: resnet18_small has classes 0 to 4"),
        ([-1, 4], "label -1 is out of range: resnet18_small has classes 0 to 4"),
        ([1, 2**70], "labels are objects"),
        (np.uint64([1, 2**32 + 1]), "label 4294967297 is out of range"),
    ],
)
def test_labels_that_are_none(labels, said):
    with pytest.raises(InputError, match=said):
        check_labels(MODEL, labels, 2)


MAPS = np.random.default_rng(1).random((2, 4, 3)).astype(np.float32)
MAPS[:, 0, 0], MAPS[:, 0, 1] = 0, 1


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (np.where(MAPS == 1, np.float32(1 + 1.2e-7), MAPS), MAPS),
        (np.where(MAPS == 0, -1e-9, MAPS), MAPS),
        (MAPS > 0.5, (MAPS > 0.5).astype(np.float32)),
        ((MAPS > 0.5).astype(np.uint8), (MAPS > 0.5).astype(np.float32)),
        (jnp.asarray(MAPS > 0.5, jnp.bfloat16), (MAPS > 0.5).astype(np.float32)),
        (Tensor(MAPS, needs_gradient=True), MAPS),
    ],
)
def test_maps_of_every_kind(maps, expected):
    found = check_maps(maps, 2)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (0, 1)  # clipped, not nearly
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (MAPS * 1.01, r"maps are in 0\.\.1\.01: expected values in 0\.\.1; min-max each"),
        (MAPS - 0.5, r"maps are in -0\.5\.\.0\.5: .*of signed maps take the positive part"),
        ((MAPS * 255).astype(np.uint8), r"maps are in 0\.\.255: .*divide heat maps in 0\.\.255 by 255"),
        (jnp.asarray(MAPS * 255, jnp.bfloat16), "divide heat maps"),
        (MAPS[:, None], r"shape \(2, 1, 4, 3\): expected \[B h w\] with B = 2, as the images\. Give maps\[:, 0\]"),
        (MAPS[..., None], r"Give maps\[\.\.\., 0\]"),
        (MAPS[:1], r"shape \(1, 4, 3\): expected \[B h w\] with B = 2"),
        (MAPS[:, :0], r"shape \(2, 0, 3\): expected"),
        (np.where(np.arange(2)[:, None, None] == 1, np.nan, MAPS), r"maps \[1\] hold NaN"),
        (np.full((2, 2, 2), -np.inf), r"maps \[0, 1\] hold NaN or infinities"),
        ([MAPS[0], MAPS[1, :2]], "maps have entries of different shapes"),
        (None, "maps are objects, such as None"),
        (MAPS.astype(complex), "complex"),
    ],
)
def test_maps_that_are_none(maps, said):
    with pytest.raises(InputError, match=said):
        check_maps(maps, 2)


def test_a_single_map_without_its_axis():
    with pytest.raises(InputError, match=re.escape("A single one goes in as maps[None].")):
        check_maps(MAPS[0], 1)


def test_uint8_is_told_from_what_is_normalised():
    np.testing.assert_array_equal(check_pixels(PIXELS), PIXELS)
    assert check_pixels(IMAGES) is None
    with pytest.raises(InputError, match="channels first"):
        check_pixels(PIXELS.transpose(0, 3, 1, 2))


FIVE = Normalisation((0.5,) * 5, (0.25,) * 5)
GREY = Normalisation((0.5,), (0.25,))
MANY = Normalisation((0.5,) * 13, (0.25,) * 13)


@pytest.mark.parametrize(
    ("shape", "normalisation"), [((2, 8, 6, 5), FIVE), ((2, 8, 6, 1), GREY), ((2, 13, 13, 13), MANY)]
)
def test_images_of_any_number_of_channels(shape, normalisation):
    pixels = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    images = np.asarray(normalisation(pixels))
    np.testing.assert_allclose(images, (pixels / 255 - 0.5) / 0.25, atol=1e-6)
    np.testing.assert_array_equal(check(images, normalisation), images)
    np.testing.assert_array_equal(check_pixels(pixels, normalisation.channels), pixels)
    with pytest.raises(InputError, match="a pixel that is normalised for resnet18_small is in -2..2"):
        check(pixels.astype(float), normalisation)


@pytest.mark.parametrize(
    ("shape", "normalisation", "said"),
    [
        ((2, 8, 6, 3), FIVE, r"\(2, 8, 6, 3\): expected \[B H W 5\], channels last, B at least 1\.$"),
        ((2, 5, 8, 6), FIVE, r"With 5 rows they look channels first: give images\.transpose\(0, 2, 3, 1\)"),
        ((8, 6, 5), FIVE, r"A single one goes in as images\[None\]"),
        ((2, 8, 6), GREY, r"expected \[B H W 1\].* Give images\[\.\.\., None\]"),
        ((2, 1, 8, 6), GREY, "With 1 rows they look channels first"),
    ],
)
def test_images_of_other_channels(shape, normalisation, said):
    with pytest.raises(InputError, match=said):
        check(np.zeros(shape), normalisation)


def test_a_normalisation_is_of_its_channels():
    with pytest.raises(InputError, match="images have 3 channels: the normalisation is of 5"):
        FIVE(PIXELS)
