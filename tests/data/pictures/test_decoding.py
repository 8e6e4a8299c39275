"""The one decoder: every colour mode as its formula says, both settings, and nothing but the formats that are meant."""

import io
import struct
import sys
import zlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

from castream_jax.data.pictures.decoding import AS_SEEN, MAX_PIXELS, Decoding, PictureCounts, decode
from castream_jax.data.pictures.picture_formats import foreign_suffixes, picture_suffixes, readable
from castream_jax.errors import InputError

STORED, DROPPED = Decoding(orientation="stored"), Decoding(transparency="drop")
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""EXIF's own table: which side of the picture row 0 and column 0 are, by orientation."""
ORIENTATION = 0x0112
LOSSLESS = ("PNG", "TIFF", "WEBP")


def pixels_of(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encode(image: Image.Image, file_format: str = "PNG", orientation: int = 1, **options) -> bytes:
    buffer = io.BytesIO()
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION] = orientation
    if file_format == "WEBP":
        options |= {"lossless": True, "exact": True}
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decoded(source: bytes | Image.Image, decoding: Decoding = AS_SEEN) -> np.ndarray:
    image = decode(source, decoding).image
    assert image.mode == "RGB"
    return np.asarray(image)


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


# Orientation


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    orientation=strategies.integers(1, 8),
    size=strategies.tuples(strategies.integers(1, 9), strategies.integers(1, 9)),
    file_format=strategies.sampled_from(LOSSLESS),
    channels=strategies.sampled_from([3, 4]),
)
def test_upright_or_stored(orientation, size, file_format, channels):
    pixels = pixels_of(*size, channels)
    pixels[..., 3:] |= 1
    encoded = encode(Image.fromarray(pixels), file_format, orientation)
    for source in (encoded, Image.open(io.BytesIO(encoded))):
        picture = decode(source, DROPPED)
        assert (picture.orientation, picture.is_oriented) == (orientation, orientation != 1)
        np.testing.assert_array_equal(np.asarray(picture.image), UPRIGHT[orientation](pixels[..., :3]))
    np.testing.assert_array_equal(decoded(encoded, Decoding("stored", "drop")), pixels[..., :3])


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "AVIF"])
def test_a_camera_s_formats_stand_upright(orientation, file_format):
    if file_format not in readable():
        pytest.skip(f"this Pillow has no {file_format}")
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 255
    encoded = encode(Image.fromarray(pixels), file_format, orientation)
    assert np.abs(decoded(encoded).astype(int) - UPRIGHT[orientation](pixels)).mean() < 4
    assert np.abs(decoded(encoded, STORED).astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("told", [0, 9, 255, 65535])
def test_an_orientation_that_makes_no_sense_is_none(told):
    picture = decode(encode(Image.fromarray(pixels_of(5, 3)), "JPEG", told))
    assert (picture.orientation, picture.image.size) == (1, (5, 3))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_none():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for end in range(8, len(exif.tobytes())):
        encoded = encode(Image.fromarray(pixels_of(5, 3)), "JPEG", exif=exif.tobytes()[:end])
        assert decode(encoded).orientation in (1, 6)


def test_of_an_animation_the_first_picture_counts():
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    for file_format in ("GIF", "PNG", "WEBP", "TIFF"):
        encoded = encode(first, file_format, save_all=True, append_images=[second])
        np.testing.assert_array_equal(decoded(encoded)[0, 0], [255, 0, 0])


# Transparency


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    alpha=strategies.lists(strategies.sampled_from([0, 1, 128, 254, 255]), min_size=6, max_size=6),
    mode=strategies.sampled_from(["RGBA", "LA"]),
    file_format=strategies.sampled_from(LOSSLESS),
)
def test_alpha_is_put_on_white_or_dropped(alpha, mode, file_format):
    values = pixels_of(3, 2, len(mode))
    values[..., -1] = np.reshape(alpha, (2, 3))
    encoded = encode(Image.fromarray(values, mode), file_format)
    colours = np.repeat(values[..., :-1], 3 // (len(mode) - 1), -1)
    picture = decode(encoded)
    assert picture.is_transparent == (min(alpha) < 255)
    np.testing.assert_allclose(np.asarray(picture.image), on_white(colours, values[..., -1]), atol=1)
    np.testing.assert_array_equal(decoded(encoded, DROPPED), colours)


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 250, 10))])
@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_palettes(transparency, file_format):
    indices = np.arange(54, dtype=np.uint8).reshape(6, 9) % 25
    colours = pixels_of(25, 1)[0]
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    if file_format == "GIF" and isinstance(transparency, bytes):
        transparency = 3  # a GIF has one transparent colour at most
    options = {} if transparency is None else {"transparency": transparency}
    encoded = encode(image, file_format, **options)
    np.testing.assert_array_equal(decoded(encoded, DROPPED), colours[indices])
    alpha = np.full(25, 255)
    if isinstance(transparency, bytes):
        alpha = np.frombuffer(transparency, np.uint8)
    elif transparency is not None:
        alpha[transparency] = 0
    picture = decode(encoded)
    assert picture.is_transparent == (transparency is not None)
    np.testing.assert_allclose(np.asarray(picture.image), on_white(colours[indices], alpha[indices]), atol=1)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "I;16"])
def test_one_transparent_colour(mode):
    """PNG's tRNS without a palette."""
    if mode == "RGB":
        values, key = pixels_of(5, 4), (1, 2, 3)
        values[1, 2], place = key, (1, 2)
    elif mode == "I;16":
        values, key, place = np.linspace(0, 65535, 20).astype(np.uint16).reshape(4, 5), 65535, (3, 4)
    elif mode == "L":
        values, key, place = np.arange(20, dtype=np.uint8).reshape(4, 5) * 10, 130, (2, 3)
    else:
        values, key, place = np.zeros((4, 5), bool), 1, (1, 1)
        values[place] = True
    encoded = encode(Image.fromarray(values), transparency=key)
    picture = decode(encoded)
    dropped = decoded(encoded, DROPPED)
    expected = dropped.copy()
    expected[place] = 255
    assert picture.is_transparent
    np.testing.assert_array_equal(np.asarray(picture.image), expected)
    assert mode in ("1", "I;16") or not np.array_equal(dropped, expected)


def png(width: int, height: int, bits: int, colour: int, rows: bytes, chunks: bytes = b"") -> bytes:
    """Return a PNG made by hand, of a kind that Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    key = chunk(b"tRNS", chunks) if chunks else b""
    return b"\x89PNG\r\n\x1a\n" + head + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("bits", "row"), [(2, 0b00011011), (4, 0x2F)])
def test_a_transparent_grey_of_few_bits(bits, row):
    """The highest grey is transparent; Pillow scales the pixels, and not the key."""
    count, highest = 8 // bits, 2**bits - 1
    greys = [(row >> (8 - bits * (i + 1))) & highest for i in range(count)]
    encoded = png(count, 1, bits, 0, bytes([0, row]), struct.pack(">H", greys[1]))
    expected = np.array(greys) * 255 // highest
    np.testing.assert_array_equal(decoded(encoded, DROPPED)[0, :, 0], expected)
    expected[1] = 255
    picture = decode(encoded)
    assert picture.is_transparent
    np.testing.assert_array_equal(np.asarray(picture.image)[0, :, 0], expected)


def test_colours_of_16_bits():
    values = np.linspace(0, 65535, 18).astype(">u2").reshape(2, 9)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    expected = (values >> 8).reshape(2, 3, 3)
    np.testing.assert_array_equal(decoded(png(3, 2, 16, 2, rows)), expected)
    dark = b"".join(b"\0" + (row >> 4).astype(">u2").tobytes() for row in values)  # 12 bits
    with pytest.raises(InputError, match="colours of 16 bits end at 15 of 255.*all but black"):
        decode(png(3, 2, 16, 2, dark))
    with pytest.raises(InputError, match="16 bits, of which one is transparent"):
        decode(png(3, 2, 16, 2, rows, struct.pack(">HHH", 1, 2, 3)))


def test_what_pillow_opened_is_left_as_it_is():
    for mode in ("RGB", "RGBA", "L", "P", "RGBa", "La", "PA", "CMYK", "I;16"):
        image = Image.fromarray(pixels_of(6, 4, 4)).convert("L" if mode == "I;16" else "RGBA" if "a" in mode else "RGB")
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)
        if mode == "I;16":
            image = image.point(lambda value: value * 256)
        if mode in ("RGB", "L", "P"):
            image.info["transparency"] = (1, 2, 3) if mode == "RGB" else 3
        before = image.tobytes(), dict(image.info), image.mode
        assert decode(image).image.mode == "RGB"
        assert (image.tobytes(), image.info, image.mode) == before


def test_other_modes():
    rgb = pixels_of(9, 6)
    np.testing.assert_array_equal(decoded(encode(Image.fromarray(rgb))), rgb)
    grey = rgb[..., 0]
    np.testing.assert_array_equal(decoded(encode(Image.fromarray(grey))), np.stack([grey] * 3, -1))
    bits = grey > 127
    np.testing.assert_array_equal(decoded(encode(Image.fromarray(bits))), np.stack([bits * np.uint8(255)] * 3, -1))


@pytest.mark.parametrize(("file_format", "tolerance"), [("TIFF", 1), ("JPEG", 8)])
def test_cmyk(file_format, tolerance):
    y, x = np.mgrid[:16, :24]
    inks = np.stack([8 * x, 10 * y, 5 * (x + y), 4 * x + 3 * y], -1).astype(np.uint8)
    options = {"quality": 100, "subsampling": 0} if file_format == "JPEG" else {}
    encoded = encode(Image.frombytes("CMYK", (24, 16), inks.tobytes()), file_format, **options)
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    np.testing.assert_allclose(decoded(encoded).astype(float), expected, atol=tolerance)


# Counts


def test_counts_say_what_was_met_and_done():
    upright, turned = (encode(Image.fromarray(pixels_of(5, 3, 4)), "PNG", orientation) for orientation in (1, 6))
    counts = sum((decode(encoded).counts for encoded in (upright, turned, turned)), PictureCounts())
    assert counts == PictureCounts(3, 2, 3)
    assert counts.describe(Decoding()) == (
        "of 3 pictures, 2 with an EXIF orientation turned upright (data.orientation=upright) and 3 transparent put on "
        "white (data.transparency=white)"
    )
    assert "2 with an EXIF orientation taken as they are stored" in counts.describe(STORED)
    assert PictureCounts(3, 0, 0).describe(Decoding()) == ""


# Formats


@pytest.fixture
def no_process(monkeypatch):
    """Fail if anything is run, by whatever door."""
    started, watching = [], [True]

    def watch(event: str, arguments: tuple) -> None:
        if watching[0] and event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
            started.append((event, arguments))

    sys.addaudithook(watch)  # there is no way to remove one
    yield
    watching[0] = False
    assert not started


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 10 10 rectfill\nshowpage\n%%EOF\n"
BMFF = b"\0\0\0\x18ftyp"
FOREIGN = {
    "PostScript": [EPS, b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 32, len(EPS), 0, 0, 0, 0) + b"\xff\xff\0\0" + EPS],
    "PDF": [b"%PDF-1.7\n"],
    "HEIC": [BMFF + b"heic" + b"\0\0\0\0mif1heic" + bytes(40), BMFF + b"mif1" + b"\0\0\0\0mif1heic" + bytes(40)],
    "DICOM": [bytes(128) + b"DICM" + bytes(40)],
    "SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<?xml version='1.0'?>\n<!-- a -->\n<svg width='3'>"],
    "video": [BMFF + b"isom" + bytes(40), BMFF + b"qt  " + bytes(40), b"RIFF\0\0\0\0AVI LIST", b"\x1a\x45\xdf\xa3" * 9],
    "camera raw": [b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), BMFF + b"crx " + bytes(40), b"FUJIFILMCCD-RAW 0201"],
    "JPEG XL": [b"\xff\x0a" + bytes(20), b"\0\0\0\x0cJXL \r\n\x87\n"],
    "Photoshop": [b"8BPS\0\x01" + bytes(40)],
    "a web page": [b"\n<!DOCTYPE html><html></html>"],
    "a pointer of Git LFS": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
}


@pytest.mark.parametrize(("name", "encoded"), [(name, each) for name, files in FOREIGN.items() for each in files])
def test_what_is_not_read_is_named(name, encoded, no_process):
    with pytest.raises(InputError) as caught:
        decode(encoded)
    assert f"it is {name}, which is not read: " in str(caught.value)


def test_formats_of_other_programs_are_not_read(no_process):
    """Opened by Pillow itself and not loaded yet, it would still be handed to Ghostscript."""
    with pytest.raises(InputError, match="it is EPS, which is not read"):
        decode(Image.open(io.BytesIO(EPS)))


@pytest.mark.parametrize("file_format", ["ICO", "TGA", "PCX", "DDS", "SGI", "ICNS", "SPIDER", "XBM", "MSP"])
def test_no_other_decoder_of_pillow_sees_a_file(file_format):
    image = Image.new({"XBM": "1", "MSP": "1", "SPIDER": "F"}.get(file_format, "RGB"), (32, 32))
    with pytest.raises(InputError, match="there is no picture in .* bytes that begin with"):
        decode(encode(image, file_format))


def test_a_thumbnail_in_camera_raw_is_no_picture():
    for tags in ({50706: b"\1\4\0\0"}, {254: 1}):
        with pytest.raises(InputError, match="it is camera raw"):
            decode(encode(Image.new("RGB", (8, 8)), "TIFF", tiffinfo=tags))


def test_suffixes():
    suffixes = picture_suffixes()
    assert {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".ppm", ".jp2", ".mpo"} <= suffixes
    assert not {".pdf", ".eps", ".ps", ".ico", ".heic", ".mpg", ".wmf"} & suffixes
    assert {".eps", ".heic", ".dcm", ".svg", ".mp4", ".cr2", ".tga", ".ico", ".psd"} <= foreign_suffixes().keys()
    assert not foreign_suffixes().keys() & suffixes


# Damage and bounds

PNG, JPEG = encode(Image.fromarray(pixels_of(64, 64))), encode(Image.fromarray(pixels_of(64, 64)), "JPEG")


@pytest.mark.parametrize(
    ("encoded", "said"),
    [
        (b"", "there is no picture in an empty file: expected JPEG, PNG"),
        (b"no picture", "there is no picture in 10 bytes that begin with b'no pictu': expected JPEG, PNG"),
        (PNG[:20], "there is no picture in 20 bytes|it is damaged or not whole"),
        (PNG[: len(PNG) // 2], "it is damaged or not whole"),
        (JPEG[:3], "there is no picture in 3 bytes"),
        (JPEG[:200], "there is no picture in 200 bytes|it is damaged or not whole"),
        (JPEG[: len(JPEG) // 2], "it is damaged or not whole .* Download or convert it again"),
    ],
    ids=["empty", "text", "png head", "half a png", "jpeg magic", "jpeg head", "half a jpeg"],
)
def test_a_broken_picture_is_named(encoded, said):
    with pytest.raises(InputError, match=said) as caught:
        decode(encoded)
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize(
    ("width", "height"), [(10**9, 1), (1, 10**9), (2**31 - 1, 2**31 - 1), (20_000, 20_000), (1_000_001, 1)]
)
@pytest.mark.filterwarnings("error")
def test_pixels_are_bounded_before_they_are_decoded(width, height):
    with pytest.raises(InputError, match=r"pixels.*(at most 110,000,000|the most that are read).*Make it smaller"):
        decode(png(width, height, 8, 2, b"\0"))
    assert MAX_PIXELS == 110_000_000


def test_a_refused_picture_is_let_go():
    """What an error holds stays in memory as long as it is kept."""
    kept = []
    for encoded in (PNG[:-200], JPEG[:-200], b"no picture", encode(Image.new("I;16", (9, 9), 9))):
        with pytest.raises(InputError) as caught:
            decode(encoded)
        kept.append(caught.value)
    assert all(error.__cause__ is None and error.__context__ is None for error in kept)
    for error in kept:
        frame = error.__traceback__
        while frame is not None:
            assert not any(isinstance(value, Image.Image) for value in frame.tb_frame.f_locals.values())
            frame = frame.tb_next
