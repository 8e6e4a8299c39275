"""From files to squares: every colour mode as its formula says, resizing and cropping as Pillow and arithmetic say."""

import io
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from castream_jax.data import preprocess
from castream_jax.data.preprocess import Resize
from castream_jax.errors import InputError

SIZES = [(51, 80), (80, 51), (33, 33), (37, 41), (101, 67), (32, 32), (500, 375), (10, 300), (300, 7), (1, 5), (1, 1)]
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def pixels_of(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encode(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decode(encoded: bytes) -> np.ndarray:
    image = preprocess.decode(encoded)
    assert image.mode == "RGB"
    return np.asarray(image)


# Colour modes


def test_rgb_and_grey():
    rgb = pixels_of(9, 6)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(rgb))), rgb)
    grey = rgb[..., 0]
    np.testing.assert_array_equal(decode(encode(Image.fromarray(grey))), np.stack([grey] * 3, -1))


def test_one_bit():
    bits = pixels_of(9, 6)[..., 0] > 127
    expected = np.stack([bits * np.uint8(255)] * 3, -1)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(bits))), expected)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_dropped(channels):
    values = pixels_of(9, 6, channels)
    expected = values[..., :3] if channels == 4 else np.repeat(values[..., :1], 3, -1)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(values))), expected)


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 250, 10))])
@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_palette(transparency, file_format):
    indices = np.random.default_rng(0).integers(0, 25, (6, 9), dtype=np.uint8)
    colours = pixels_of(25, 1)[0]
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    if file_format == "GIF" and isinstance(transparency, bytes):
        transparency = 3  # a GIF has one transparent colour at most
    options = {} if transparency is None else {"transparency": transparency}
    np.testing.assert_array_equal(decode(encode(image, file_format, **options)), colours[indices])


@pytest.mark.parametrize(("file_format", "tolerance"), [("TIFF", 1), ("JPEG", 8)])
def test_cmyk(file_format, tolerance):
    y, x = np.mgrid[:16, :24]
    inks = np.stack([8 * x, 10 * y, 5 * (x + y), 4 * x + 3 * y], -1).astype(np.uint8)
    options = {"quality": 100, "subsampling": 0} if file_format == "JPEG" else {}
    encoded = encode(Image.frombytes("CMYK", (24, 16), inks.tobytes()), file_format, **options)
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    np.testing.assert_allclose(decode(encoded).astype(float), expected, atol=tolerance)


GREY16 = np.array([[0, 128, 129, 255, 256, 257], [1000, 32767, 32768, 65278, 65407, 65535]], np.uint16)


@pytest.mark.parametrize(
    "image",
    [
        ("PNG", Image.fromarray(GREY16)),
        ("TIFF", Image.fromarray(GREY16)),
        ("TIFF", Image.frombytes("I;16B", (6, 2), GREY16.astype(">u2").tobytes())),
        ("TIFF", Image.fromarray(GREY16.astype(np.int32))),
    ],
    ids=["png", "tiff", "big-endian", "mode I"],
)
def test_16_bit_grey_is_scaled(image):
    expected = np.floor(GREY16 / 257 + 0.5).astype(np.uint8)
    assert expected.min() == 0
    assert expected.max() == 255
    np.testing.assert_array_equal(decode(encode(image[1], image[0])), np.stack([expected] * 3, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_does_not_count(orientation):
    stored = pixels_of(9, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(Image.fromarray(stored), exif=exif)
    np.testing.assert_array_equal(decode(encoded), stored)


PNG, JPEG = encode(Image.fromarray(pixels_of(64, 64))), encode(Image.fromarray(pixels_of(64, 64)), "JPEG")


@pytest.mark.parametrize(
    "encoded",
    [b"", b"no picture", PNG[:20], PNG[: len(PNG) // 2], JPEG[:3], JPEG[:200], JPEG[: len(JPEG) // 2]],
    ids=["empty", "text", "png head", "half a png", "jpeg magic", "jpeg head", "half a jpeg"],
)
def test_a_broken_picture_is_named(encoded):
    with pytest.raises(InputError) as caught:
        preprocess.decode(encoded)
    assert f"cannot decode a picture of {len(encoded)} bytes" in str(caught.value)
    assert "take it out of the dataset" in str(caught.value)


# Squares


def expected_crop(image: Image.Image, size: int, shorter: int, resampling: Image.Resampling) -> np.ndarray:
    """Return the resized picture's centre, in whole numbers: longer side rounded down, offset halves to even."""
    width, height = image.size
    short = min(width, height)
    resized = np.asarray(image.resize((shorter * width // short, shorter * height // short), resampling))

    def first(side: int) -> int:
        half, odd = divmod(side - size, 2)
        return half + (odd and half % 2)

    top, left = first(resized.shape[0]), first(resized.shape[1])
    return resized[top : top + size, left : left + size]


def assert_near(found: Image.Image, expected: np.ndarray) -> None:
    assert found.size == expected.shape[1::-1]
    assert np.abs(np.asarray(found).astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("interpolation", "resampling"), [("bilinear", BILINEAR), ("bicubic", BICUBIC)])
def test_squares_are_pillows(size, interpolation, resampling):
    image = Image.fromarray(pixels_of(*size))
    squashed = Resize(32, "squash", interpolation)(image)
    assert_near(squashed, np.asarray(image.resize((32, 32), resampling)))
    for shorter_side, shorter in ((0, 37), (32, 32), (33, 33), (40, 40)):
        cropped = Resize(32, "crop", interpolation, shorter_side)(image)
        assert_near(cropped, expected_crop(image, 32, shorter, resampling))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "LA", "RGBA", "1"])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_files_of_every_mode_become_squares(mode, resize):
    stored = Image.fromarray(pixels_of(50, 71)).convert(mode)
    encoded = encode(stored, "TIFF" if mode == "CMYK" else "PNG")
    rgb = stored.convert("RGB")
    squashed = np.asarray(rgb.resize((32, 32), BILINEAR))
    expected = squashed if resize == "squash" else expected_crop(rgb, 32, 37, BILINEAR)
    assert_near(Resize(32, resize)(preprocess.decode(encoded)), expected)


def test_the_usual_crop():
    """Shorter side 256 of 224, then the centre: of a 512x256 picture, columns 144 to 368 and rows 16 to 240."""
    image = Image.fromarray(pixels_of(512, 256))
    np.testing.assert_array_equal(np.asarray(Resize(224, "crop")(image)), np.asarray(image)[16:240, 144:368])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "scale"}, "unknown resize mode 'scale'"),
        ({"interpolation": "bicubc"}, "Did you mean 'bicubic'"),
        ({"size": 0}, "is 0: expected 1 or more"),
        ({"mode": "crop", "shorter_side": 200}, "is 200: expected 0 .* or at least .* 224"),
    ],
)
def test_mistakes_are_named(arguments, said):
    """The check alone: under test, names of no mode do not get as far as that."""
    values = {"size": 224, "mode": "squash", "interpolation": "bilinear", "shorter_side": 0} | arguments
    with pytest.raises(InputError, match=said):
        Resize.__post_init__(SimpleNamespace(**values))


# Augmentation


def test_random_crop_keeps_its_bounds():
    rng = np.random.default_rng(1)
    left = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    spans = []
    for _ in range(50):
        pixels = np.asarray(preprocess.random_resized_crop(left, 20, 0.25, rng))
        assert pixels.shape == (20, 20, 3)
        spans.append(int(pixels.max()) - int(pixels.min()))
    assert min(spans) < 100 < max(spans)  # crops of many sizes
    whole = preprocess.random_resized_crop(Image.fromarray(pixels_of(40, 40)), 40, 1.0, np.random.default_rng(0))
    assert whole.size == (40, 40)


def test_random_crop_of_tiny_pictures():
    for seed, size in itertools.product(range(10), [(1, 1), (1, 9), (2, 1)]):
        found = preprocess.random_resized_crop(Image.fromarray(pixels_of(*size)), 8, 0.05, np.random.default_rng(seed))
        assert found.size == (8, 8)


def test_brightness_scales_every_pixel_alike():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    found = {int(preprocess.jitter_brightness(pixels, 0.4, np.random.default_rng(i))[0, 0, 0]) for i in range(50)}
    assert min(found) >= 60
    assert max(found) <= 140
    assert max(found) - min(found) > 40
