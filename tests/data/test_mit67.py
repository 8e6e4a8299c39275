"""MIT Indoor Scenes, from a made-up archive of the official layout."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from castream_jax.cli.prepare import main
from castream_jax.data.builders import mit67
from castream_jax.data.pictures.decoding import decode
from castream_jax.data.source import open_source
from tests.data.conftest import encode_picture

IMAGES = {
    "gameroom/b 2.jpg": encode_picture(0),
    "airport/a.jpg": encode_picture(1),
    "gameroom/grey.jpg": b"",
    "airport/really_a.jpg": encode_picture(2, "PNG"),
    "bar/x.jpg": encode_picture(3),
    "airport/t.jpg": encode_picture(4),
    "bar/palette.jpg": encode_picture(5, "GIF"),
    "bar/not_listed.jpg": encode_picture(6),
}
TRAIN = ["gameroom/b 2.jpg", "airport/a.jpg", "gameroom/grey.jpg", "airport/really_a.jpg", "bar/x.jpg"]
TEST = ["airport/t.jpg", "bar/palette.jpg"]


def write_archive(file: Path, names: list[str]) -> None:
    with tarfile.open(file, "w") as tar:
        for name in sorted(names):
            member = tarfile.TarInfo(f"Images/{name}")
            member.size = len(IMAGES[name])
            tar.addfile(member, io.BytesIO(IMAGES[name]))


@pytest.fixture
def manual(tmp_path, monkeypatch) -> Path:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40)).save(buffer, "JPEG")
    monkeypatch.setitem(IMAGES, "gameroom/grey.jpg", buffer.getvalue())
    monkeypatch.setattr(mit67, "LISTS", {"train": ("TrainImages.txt", 5), "test": ("TestImages.txt", 2)})
    folder = tmp_path / "manual"
    folder.mkdir()
    (folder / "TrainImages.txt").write_text("\r\n".join(TRAIN))
    (folder / "TestImages.txt").write_text("\n".join(TEST) + "\n")
    write_archive(folder / "indoorCVPR_09.tar", list(IMAGES))
    return folder


def prepare(manual: Path, directory: Path) -> None:
    main(["prepare", "mit67", f"--manual={manual}", f"--directory={directory}"])


def test_records_follow_the_official_lists(manual, tmp_path, capsys):
    prepare(manual, tmp_path / "data")
    assert "--config.data.validation_split=test --workdir=runs/mit67" in capsys.readouterr().out
    for split, names in (("train", TRAIN), ("test", TEST)):
        source = open_source("mit67", split, str(tmp_path / "data"))
        assert source.class_names == ("airport", "bar", "gameroom")
        assert [source[index]["id"].decode() for index in range(len(source))] == names
        for index, name in enumerate(names):
            assert source.class_names[source[index]["label"]] == name.partition("/")[0]


def test_jpegs_stay_as_they_are_and_the_rest_becomes_jpeg(manual, tmp_path):
    prepare(manual, tmp_path / "data")
    for split in ("train", "test"):
        source = open_source("mit67", split, str(tmp_path / "data"))
        for index in range(len(source)):
            name, data = source[index]["id"].decode(), source[index]["image"]
            image = Image.open(io.BytesIO(data))
            assert image.format == "JPEG"
            assert (data == IMAGES[name]) == (name not in ("airport/really_a.jpg", "bar/palette.jpg"))
            assert decode(data).image.size == (40, 30)


def test_it_is_ready_when_the_download_is_gone(manual, tmp_path, capsys):
    prepare(manual, tmp_path / "data")
    (manual / "indoorCVPR_09.tar").unlink()
    prepare(manual, tmp_path / "data")
    assert "mit67 is ready already" in capsys.readouterr().out


def write(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


def truncate(folder: Path) -> None:
    archive = folder / "indoorCVPR_09.tar"
    archive.write_bytes(archive.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: (folder / "indoorCVPR_09.tar").unlink(),
            "missing in {}: indoorCVPR_09.tar. Download them from",
        ),
        (lambda folder: (folder / "TestImages.txt").unlink(), "missing in {}: TestImages.txt"),
        (
            lambda folder: write_archive(folder / "indoorCVPR_09.tar", TRAIN),
            "lacks 2 of the listed images, first Images/",
        ),
        (write("TestImages.txt", "<html>not found"), "has a line '<html>not found': expected 2 lines"),
        (write("TestImages.txt", "bar/x.jpg\n"), "has 1 images: expected 2 lines"),
        (write("indoorCVPR_09.tar", "<html>"), "is no whole tar archive"),
        (truncate, "indoorCVPR_09.tar"),
    ],
)
def test_mistakes_are_named(manual, tmp_path, capsys, change, said):
    change(manual)
    with pytest.raises(SystemExit) as caught:
        prepare(manual, tmp_path / "data")
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert said.format(manual) in message
    assert mit67.HOMEPAGE in message


def test_a_damaged_image_is_named(manual, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(IMAGES, "bar/x.jpg", IMAGES["bar/x.jpg"][:200])
    write_archive(manual / "indoorCVPR_09.tar", list(IMAGES))
    with pytest.raises(SystemExit):
        prepare(manual, tmp_path / "data")
    assert "bar/x.jpg in " in capsys.readouterr().err


def test_the_official_numbers():
    assert mit67.LISTS == {"train": ("TrainImages.txt", 5360), "test": ("TestImages.txt", 1340)}
