"""Grey of more than 8 bits: scaled by what the file says, or refused; never all but black without a word."""

import io

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

from castream_jax.data.pictures.decoding import decode
from castream_jax.errors import InputError

GREY16 = np.array([[0, 128, 129, 255, 256, 257], [1000, 32767, 32768, 65278, 65407, 65535]], np.uint16)
SCALED = np.floor(GREY16 / 257 + 0.5).astype(np.uint8)


def encode(image: Image.Image, file_format: str = "TIFF", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def grey(encoded: bytes) -> np.ndarray:
    pixels = np.asarray(decode(encoded).image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def pgm(values: np.ndarray, white: int) -> bytes:
    return f"P5 {values.shape[1]} {values.shape[0]} {white}\n".encode() + values.astype(">u2").tobytes()


@pytest.mark.parametrize(
    "encoded",
    [
        encode(Image.fromarray(GREY16), "PNG"),
        encode(Image.fromarray(GREY16)),
        encode(Image.frombytes("I;16B", (6, 2), GREY16.astype(">u2").tobytes())),
        encode(Image.fromarray(GREY16), compression="tiff_lzw"),
        encode(Image.fromarray(GREY16.astype(np.int32))),
        encode(Image.fromarray(GREY16), "JPEG2000"),
        pgm(GREY16, 65535),
    ],
    ids=["png", "tiff", "big-endian", "compressed", "32 bits", "jpeg 2000", "pgm"],
)
def test_16_bits(encoded):
    np.testing.assert_array_equal(grey(encoded), SCALED)


@pytest.mark.parametrize("white", [2**bits - 1 for bits in range(9, 16)])
def test_what_the_file_says_is_white(white):
    values = np.linspace(0, white // 9, 12).round().astype(np.uint16).reshape(3, 4)  # dark, and rightly so
    expected = np.rint(values * (255 / white))
    np.testing.assert_array_equal(grey(encode(Image.fromarray(values), tiffinfo={281: white})), expected)
    np.testing.assert_allclose(grey(pgm(values, white)), expected, atol=1)  # Pillow makes 16 bits of it first


def test_12_bits_by_their_number():
    values = np.arange(8, dtype=np.uint16).reshape(2, 4) * 585
    high, low = values[:, ::2], values[:, 1::2]  # two values in three bytes
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], -1).astype(np.uint8).tobytes()
    encoded = encode(Image.fromarray(values))
    place = encoded.index(values.astype("<u2").tobytes())
    encoded = encoded[:place] + packed.ljust(len(values.tobytes()), b"\0") + encoded[place + values.nbytes :]
    tag = encoded.index(b"\x02\x01\x03\0\x01\0\0\0\x10\0")  # BitsPerSample: one short, 16
    encoded = encoded[: tag + 8] + b"\x0c" + encoded[tag + 9 :]
    np.testing.assert_array_equal(grey(encoded), np.rint(values * (255 / 4095)))


def test_white_may_be_zero():
    """TIFF's WhiteIsZero, which Pillow minds up to 8 bits."""
    np.testing.assert_array_equal(grey(encode(Image.fromarray(GREY16), tiffinfo={262: 0})), 255 - SCALED)


@pytest.mark.parametrize("white", [1, 255])
def test_floats(white):
    values = np.linspace(0, white, 12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(grey(encode(Image.fromarray(values))), np.rint(values * np.float64(255 / white)))


@hypothesis.settings(deadline=None, max_examples=80)
@hypothesis.given(
    bits=strategies.integers(1, 14),
    file_format=strategies.sampled_from(["PNG", "TIFF"]),
    seed=strategies.integers(0, 9),
)
def test_data_of_fewer_bits_are_refused(bits, file_format, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, (4, 5), dtype=np.uint16)
    values[0, 0] = 2**bits - 1
    with pytest.raises(
        InputError, match=f"grey values end at {2**bits - 1} of 65535.*all but black. Save it as 8 bits"
    ):
        decode(encode(Image.fromarray(values), file_format))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.float32([[0, np.nan]]), "grey values are nan to nan: expected 0 to 1 or 255"),
        (np.float32([[-0.1, 1]]), "grey values are -0.1 to 1: expected 0 to 1 or 255"),
        (np.float32([[0, 4095]]), "grey values are 0 to 4095: expected 0 to 1 or 255"),
        (np.float32([[0, np.inf]]), "grey values are 0 to inf"),
        (np.float32([[0, 0.06]]), "grey values end at 0.06 of 1.*all but black"),
        (np.float32([[0, 3]]), "grey values end at 3 of 255.*all but black"),
        (np.int32([[-5, 900]]), "grey values are -5 to 900: expected 0 to 255 or 65535"),
        (np.int32([[0, 2**20]]), "grey values are 0 to 1.04858e.06: expected 0 to 255 or 65535"),
    ],
)
def test_numbers_whose_white_is_unknown_are_refused(values, said):
    for compression in (None, "tiff_deflate"):
        with pytest.raises(InputError, match=said):
            decode(encode(Image.fromarray(values), compression=compression))


def test_all_black_is_black():
    for kind in (np.uint16, np.int32, np.float32):
        assert not grey(encode(Image.fromarray(np.zeros((2, 3), kind)))).any()


def test_8_bits_with_a_sign():
    """Pillow reads -1 as 255."""
    plain = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 6) * 20)
    assert grey(encode(plain)).max() == 220
    with pytest.raises(InputError, match="its numbers have a sign, and it does not say which are black and white"):
        decode(encode(plain, tiffinfo={339: 2}))
