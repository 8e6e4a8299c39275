"""The same pixels on every road, for the same file and the same settings: training, evaluation, explain, figures."""

import dataclasses
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from castream_jax import explain
from castream_jax.config import DataConfig
from castream_jax.data.bad_records import read_picture as read_record
from castream_jax.data.bad_records import sample_pictures
from castream_jax.data.pictures.decoding import Decoding, PictureCounts
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.data.pipeline import count_pictures, evaluation_batches, training_batches
from castream_jax.data.source import Source, open_source
from castream_jax.errors import InputError
from castream_jax.explanation.pictures import read_picture
from castream_jax.explanation.print_figures import Scope, find_subjects
from castream_jax.explanation.view import prepare
from castream_jax.models.inputs import Preprocessing
from tests.networks import small_resnet

SETTINGS = list(itertools.product(("upright", "stored"), ("white", "drop")))
SIZE = 48


@pytest.fixture
def root(tmp_path) -> Path:
    """Return an image folder of 8 pictures of two classes, half of them oriented and a quarter transparent."""
    values = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 4), np.uint8)
    for i, pixels in enumerate(values):
        exif = Image.Exif()
        exif[0x0112] = (1, 6, 3, 1, 8, 5, 1, 1)[i]
        path = tmp_path / "pictures" / "val" / ("cat", "dog")[i % 2] / f"{i}.{('png', 'tif', 'webp')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
        Image.fromarray(pixels if i in (1, 3) else pixels[..., :3]).save(path, exif=exif, **options)
    return tmp_path / "pictures"


@pytest.mark.parametrize(("orientation", "transparency"), SETTINGS)
def test_every_road_gives_the_same_pixels(root, orientation, transparency, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    decoding = Decoding(orientation, transparency)
    source = open_source("image_folder", "val", str(root), decoding=decoding)
    resize = Resize(SIZE, "squash")
    (batch,) = evaluation_batches(source, resize, 8)
    assert count_pictures(batch) == sample_pictures(source) == PictureCounts(8, 4, 2)
    expected = {str(name): pixels for name, pixels in zip(batch["ids"], batch["images"])}
    assert len(expected) == 8

    model = small_resnet()
    model.preprocessing = Preprocessing(SIZE, orientation=orientation, transparency=transparency)
    paths = [root / "val" / name for name in expected]
    opened = [Image.open(path) for path in paths]
    for found in (
        explain(model, paths, methods="attention", size=SIZE),
        explain(model, opened, size=SIZE, methods="attention"),
    ):
        for picture, pixels in zip(found.pictures, expected.values(), strict=True):
            np.testing.assert_array_equal(picture.pixels, pixels)
    for path, pixels in zip(paths, expected.values()):
        np.testing.assert_array_equal(prepare("", read_picture(path, decoding).image, resize).pixels, pixels)
    subjects = find_subjects([*map(str, paths), *expected], Scope(source, decoding, "", 1, True))
    for subject, pixels in zip(subjects, [*expected.values()] * 2, strict=True):
        np.testing.assert_array_equal(np.asarray(subject.image), pixels)

    data = DataConfig(image_size=SIZE, crop_scale=1.0, flip=False, brightness=0.0)
    whole = dataclasses.replace(source, records=[source[i] for i in range(8)])
    seen = next(training_batches(whole, data, 8, seed=0))["images"]
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in expected.values())


def test_settings_differ(root):
    seen = set()
    for setting in SETTINGS:
        source = open_source("image_folder", "val", str(root), decoding=Decoding(*setting))
        (batch,) = evaluation_batches(source, Resize(SIZE, "squash"), 8)
        seen.add(batch["images"].tobytes())
    assert len(seen) == 4


def test_explain_says_what_it_met(root, caplog):
    explain(small_resnet(), sorted(root.glob("val/*/*")), methods="attention", size=SIZE)
    assert "of 8 pictures, 4 with an EXIF orientation turned upright" in caplog.text
    assert "2 transparent put on white" in caplog.text


# Masks


def encode(pixels: np.ndarray, orientation: int = 1) -> bytes:
    import io

    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def read_truth(picture: bytes, mask: bytes, orientation: str) -> np.ndarray | None:
    record = {"image": picture, "mask": mask, "label": 0}
    source = Source("pets", "test", [record], ("cat",), Decoding(orientation))
    return read_record(source, 0, Resize(SIZE, "squash"))[2]


@pytest.mark.parametrize("told", range(1, 9))
@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_a_mask_is_turned_with_its_picture(told, orientation):
    bits = np.random.default_rng(1).random((30, 20)) < 0.5
    stored = (bits * np.uint8(255))[..., None].repeat(3, -1)
    picture = encode(stored, told)
    source = Source("pets", "test", [{"image": picture, "label": 0}], ("cat",), Decoding(orientation))
    image = read_record(source, 0)[0].image
    expected = np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.NEAREST)) > 0
    np.testing.assert_array_equal(read_truth(picture, encode(stored, told), orientation), expected)  # its own EXIF
    upright = encode(np.asarray(image))
    if orientation == "stored" or told == 1 or told >= 5:
        np.testing.assert_array_equal(read_truth(picture, encode(stored), orientation), expected)
        np.testing.assert_array_equal(read_truth(picture, upright, orientation), expected)
    else:  # upright or stored, it has one size
        with pytest.raises(
            InputError, match=rf"EXIF orientation, {told}, and the mask, of the same size, does not say"
        ):
            read_truth(picture, encode(stored), orientation)


def test_a_mask_is_read_whatever_it_is_made_of():
    """Neither scaled nor put on white: numbers of objects in 16 bits, and colours that are transparent."""
    numbers = np.arange(9, dtype=np.uint16).reshape(3, 3)
    clear = np.zeros((3, 3, 4), np.uint8)
    clear[..., 0] = numbers > 0
    for mask in (encode(numbers), encode(clear)):
        found = read_truth(encode(np.zeros((3, 3, 3), np.uint8)), mask, "upright")
        assert found is not None
        np.testing.assert_array_equal(found[::16, ::16], numbers > 0)
