"""A user's pictures: found by every kind of argument, and read whatever they are."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from castream_jax.data.pictures.decoding import AS_SEEN
from castream_jax.errors import InputError
from castream_jax.explanation.pictures import (
    find_pictures,
    name_outputs,
    name_path,
    name_pictures,
    read_picture,
)

COLOUR = (200, 40, 90)


def write(path: Path, image: Image.Image | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (6, 4), COLOUR)).save(path, **options)
    return path


def test_files_folders_and_globs_each_once_in_order(tmp_path):
    paths = [write(tmp_path / name) for name in ("b.png", "in/a.jpg", "in/deep/c.webp", "odd[1].png")]
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"")
    b, a, c, odd = paths
    assert find_pictures([str(tmp_path / "in"), str(b)]) == [a, c, b]
    assert find_pictures([str(b), str(tmp_path / "*.png"), str(tmp_path / "in" / ".." / "b.png")]) == [b, odd]
    assert find_pictures([str(tmp_path / "**" / "c.*")]) == [c]
    assert find_pictures([str(odd)]) == [odd]  # a name, though it reads like a glob
    assert find_pictures([str(tmp_path / "in" / "notes.txt")]) == [tmp_path / "in" / "notes.txt"]  # named, so meant
    assert find_pictures([str(tmp_path / "in" / "*")]) == [a, c]  # not the notes


def test_what_was_written_is_passed_over(tmp_path):
    photos = tmp_path / "photos"
    a, made, b = (write(photos / name) for name in ("a.png", "out/a.png", "out-takes/b.png"))
    (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    for argument in (photos, photos / "**" / "*.png"):
        assert find_pictures([str(argument)], tmp_path / "link" / "out") == [a, b]
    assert find_pictures([str(made)], photos / "out") == [made]  # named
    with pytest.raises(InputError, match="there is no picture in the folder .* outside of the folder to write to"):
        find_pictures([str(photos / "out")], photos)


def test_a_home_directory_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "a.png")
    assert find_pictures(["~/a.png"]) == find_pictures(["~/*.png"]) == [path]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("*.png", "no picture matches"),
        ("*", "no picture matches"),
        ("empty", "no picture in the folder"),
        ("missing.png", "there is no file or folder"),
    ],
)
def test_what_names_no_picture(tmp_path, argument, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        find_pictures([str(tmp_path / argument)])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16", "PA"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    kind = "tiff" if mode in ("CMYK", "PA") else "png"
    if mode == "PA":  # which no format stores: a palette with transparency
        image = Image.new("P", (6, 4), 0)
        image.putpalette([255, 255, 255])
        path = write(tmp_path / "a.png", image, transparency=0)
    else:
        white = {"I;16": 65535, "CMYK": (0, 0, 0, 0)}.get(mode, "white")
        path = write(tmp_path / f"a.{kind}", Image.new(mode, (6, 4), white))
    found = read_picture(path, AS_SEEN).image
    assert (found.mode, found.size) == ("RGB", (6, 4))
    np.testing.assert_array_equal(np.asarray(found), 255)


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., :3] = COLOUR
    pixels[:, 0, 3], pixels[:, 1, 3] = 255, 51
    found = np.asarray(read_picture(write(tmp_path / "a.png", Image.fromarray(pixels)), AS_SEEN).image)
    np.testing.assert_array_equal(found[0, 0], COLOUR)
    np.testing.assert_allclose(found[0, 1], 255 - 0.2 * (255 - np.array(COLOUR)), atol=1)
    np.testing.assert_array_equal(found[0, 2], 255)
    white = Image.new("P", (3, 2), 1)
    white.putpalette([10, 20, 30, 40, 50, 60])
    found = np.asarray(read_picture(write(tmp_path / "p.png", white, transparency=1), AS_SEEN).image)
    np.testing.assert_array_equal(found, 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pictures_stand_upright(tmp_path, mode):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    image = Image.new(mode, (6, 4), COLOUR)
    image.putpixel((0, 3), (0, 0, 0, 255)[: len(mode)])  # bottom left, which becomes top left
    found = read_picture(write(tmp_path / "a.png", image, exif=exif), AS_SEEN).image
    assert found.size == (4, 6)
    assert found.getpixel((0, 0)) == (0, 0, 0)


def test_a_large_picture_does_not_warn(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert read_picture(write(tmp_path / "a.png"), AS_SEEN).image.size == (6, 4)


def test_what_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.jpg"
    buffer = io.BytesIO()
    Image.effect_noise((60, 60), 50).save(buffer, "JPEG")
    broken.write_bytes(buffer.getvalue()[:-600])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("broken.jpg", "text.png"):
        with pytest.raises(InputError, match=f"cannot read .*{name} as a picture: "):
            read_picture(tmp_path / name, AS_SEEN)
    with pytest.raises(InputError, match="missing.jpg: No such file"):
        read_picture(tmp_path / "missing.jpg", AS_SEEN)


def test_names_are_short_where_they_can_be():
    paths = [Path("a/x.jpg"), Path("b/x.jpg"), Path("b/y.jpg")]
    assert name_pictures(paths) == ["a/x.jpg", "b/x.jpg", "y.jpg"]
    assert name_path(Path("\udcff.jpg")) == "\N{REPLACEMENT CHARACTER}.jpg"


def test_outputs_have_different_names():
    paths = [
        Path(name)
        for name in (
            "a/x.jpg",
            "b/X.png",
            "x.gif",
            "x-2.gif",
            "é b(1).jpg",
            f"{'w' * 300}.jpg",
            f"{'写' * 90}.jpg",
            "...jpg",
        )
    ]
    found = name_outputs(paths)
    assert found == ["x", "X-2", "x-3", "x-2-2", "é_b_1_", "w" * 150, "写" * 50, "picture"]


# What else lies among pictures


def test_links_in_a_circle_end(tmp_path, caplog):
    photos = tmp_path / "photos"
    paths = [write(photos / name) for name in ("a.png", "deep/b.png")]
    for name, target in (("1", "."), ("2", ".."), ("deep/3", ".."), ("deep/4", "4"), ("deep/5", tmp_path)):
        (photos / name).symlink_to(target)
    (tmp_path / "away").mkdir()
    (photos / "6").symlink_to(tmp_path / "away")
    away = write(tmp_path / "away" / "c.png")
    (tmp_path / "away" / "back").symlink_to(photos)
    expected = {*paths, photos / "6" / away.name}
    assert set(find_pictures([str(photos)])) == expected
    assert "Links in a circle are not followed: '1', '2', 'deep/3', …" in caplog.text
    assert set(find_pictures([str(photos / "**" / "*.png")])) == expected
    assert set(find_pictures([str(photos / "**")])) == expected


def test_a_glob_of_folders_at_any_depth(tmp_path, monkeypatch):
    paths = [write(tmp_path / name) for name in ("x.png", "a/x.png", "a/b/x.png", "a/b/c/x.png", "a/.b/x.png")][:-1]
    monkeypatch.chdir(tmp_path)
    x, ax, abx, abcx = (path.relative_to(tmp_path) for path in paths)
    assert find_pictures(["**/x.png"]) == [abcx, abx, ax, x]
    assert find_pictures(["a/**/*.png"]) == [abcx, abx, ax]
    assert find_pictures(["**/b/**/*.png"]) == [abcx, abx]
    assert find_pictures(["**/b/*.png"]) == [abx]
    assert set(find_pictures(["*/**"])) == {ax, abx, abcx}


def test_what_is_not_read_is_named(tmp_path, caplog):
    photos = tmp_path / "photos"
    kept = write(photos / "a.png")
    for name in ("1.HEIC", "2.heic", "in/3.heic", "4.heic", "scan.dcm", "logo.svg", "clip.MOV", "raw.dng", "notes.txt"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"")
    assert find_pictures([str(photos)]) == [kept]
    for said in (
        "8 files are not read: ",
        "4 HEIC (",
        ", …)",
        "1 DICOM",
        "1 SVG",
        "1 video",
        "1 camera raw",
        "develop",
    ):
        assert said in caplog.text
    kept.unlink()
    with pytest.raises(InputError, match="there is no picture in the folder .*8 files are not read: "):
        find_pictures([str(photos)])
    with pytest.raises(
        InputError, match="no picture matches .*4 files are not read: 4 HEIC.*convert it to JPEG or PNG"
    ):
        find_pictures([str(photos / "**" / "*.[hH]*")])


@pytest.mark.timeout(60)
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(100 * 2**30)
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "nothing.png").symlink_to("nowhere")
    for path in find_pictures([str(tmp_path), str(tmp_path / "pipe.png"), "/dev/zero"]):
        with pytest.raises(InputError, match=f"cannot read .*{path.name}: (it is a|it has|No such file)"):
            read_picture(path, AS_SEEN)


def test_any_folder_said_many_times(tmp_path, monkeypatch):
    paths = [write(tmp_path / name) for name in ("a/a/x.png", "a/x.png")]
    monkeypatch.chdir(tmp_path)
    assert find_pictures(["**/" * 2000 + "x.png"]) == [path.relative_to(tmp_path) for path in paths]
    assert find_pictures(["a/a/*.png"]) == [paths[0].relative_to(tmp_path)]
    with pytest.raises(InputError, match=r"a pattern has \*\* in 600 places: expected at most 10"):
        find_pictures(["**/a/" * 600 + "x.png"])


def test_a_picture_of_one_pixel_is_nothing_to_explain(tmp_path):
    Image.new("RGB", (1, 1), "teal").save(tmp_path / "one.png")
    with pytest.raises(InputError, match=r"one\.png: it is a single pixel"):
        read_picture(tmp_path / "one.png", AS_SEEN)
