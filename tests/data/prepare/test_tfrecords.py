"""TFRecords of TFDS, converted record by record."""

import itertools
import json
import shutil
import struct
from pathlib import Path

import pytest
from array_record.python.array_record_module import ArrayRecordReader

from castream_jax.cli.prepare import main
from castream_jax.data.prepare import record_shards as shards
from castream_jax.data.prepare.crc32c import masked_crc32c
from castream_jax.data.source import open_source
from castream_jax.data.sources.prepared import OWN_BUILDERS
from tests.demo_data import SIZES

pytestmark = pytest.mark.slow


def write_tfrecords(file: Path, records: list[bytes]) -> None:
    with file.open("wb") as stream:
        for record in records:
            length = struct.pack("<Q", len(record))
            stream.write(length + struct.pack("<I", masked_crc32c(length)))
            stream.write(record + struct.pack("<I", masked_crc32c(record)))


def read_records(file: Path) -> list[bytes]:
    reader = ArrayRecordReader(str(file))
    return reader.read(list(range(reader.num_records())))


@pytest.fixture
def tfrecords(demo_directory, tmp_path) -> Path:
    """Return a folder of TFRecords in three shards a split, as TFDS lays them out, with the small demo's records."""
    source = demo_directory / "castream_demo" / "1.0.0"
    folder = tmp_path / "old" / "demo" / "1.0.0"
    folder.mkdir(parents=True)
    info = json.loads((source / "dataset_info.json").read_text())
    for split in info["splits"]:
        records = read_records(source / f"castream_demo-{split['name']}.array_record-00000-of-00001")
        bounds = [0, 5, 6, len(records)]
        split["shardLengths"] = [str(stop - start) for start, stop in itertools.pairwise(bounds)]
        for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
            write_tfrecords(folder / f"demo-{split['name']}.tfrecord-0000{index}-of-00003", records[start:stop])
    (folder / "dataset_info.json").write_text(json.dumps(info | {"name": "demo", "fileFormat": "tfrecord"}))
    for name in ("features.json", "label.labels.txt"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def convert(tfrecords: Path, directory: Path, name: str = "mine") -> None:
    main(["prepare", name, f"--tfrecords={tfrecords}", f"--directory={directory}"])


def test_every_record_is_the_same(tfrecords, demo_directory, tmp_path, capsys):
    convert(tfrecords, tmp_path / "new")
    assert f"--config.data.name=mine --config.data.directory={tmp_path / 'new'}" in capsys.readouterr().out
    old = read_records(demo_directory / "castream_demo" / "1.0.0" / "castream_demo-train.array_record-00000-of-00001")
    files = [tmp_path / "new" / "mine" / "1.0.0" / f"mine-train.array_record-0000{i}-of-00003" for i in range(3)]
    assert [record for file in files for record in read_records(file)] == old


def test_it_opens_as_before(tfrecords, demo_directory, tmp_path):
    convert(tfrecords, tmp_path / "new")
    for split, size in SIZES.items():
        old = open_source("castream_demo", split, str(demo_directory))
        new = open_source("mine", split, str(tmp_path / "new"))
        assert len(new) == size
        assert new.class_names == old.class_names
        assert all(new[index]["image"] == old[index]["image"] for index in range(size))
        assert new.locate(5) == f"{tmp_path}/new/mine/1.0.0/mine-{split}.array_record-00001-of-00003, position 0"


def test_a_variant_keeps_its_name(tfrecords, tmp_path, capsys):
    info = json.loads((tfrecords / "dataset_info.json").read_text())
    (tfrecords / "dataset_info.json").write_text(json.dumps(info | {"configName": "small-v2"}))
    convert(tfrecords, tmp_path / "new")
    assert "--config.data.name=mine/small-v2 " in capsys.readouterr().out
    assert len(open_source("mine/small-v2", "test", str(tmp_path / "new"))) == SIZES["test"]
    with pytest.raises(SystemExit):
        convert(tfrecords, tmp_path / "new", "mine/large")
    assert "holds variant 'small-v2': asked for 'mine/large'" in capsys.readouterr().err


def test_an_interrupted_conversion_goes_on(tfrecords, tmp_path, monkeypatch, capsys):
    convert(tfrecords, tmp_path / "whole")
    written = []

    def interrupt(file, records, write=shards.write_shard):
        written.append(file.name)
        if len(written) == 5:
            next(iter(records))
            (file.parent / f"{file.name}.part").write_bytes(b"half a shard")
            raise KeyboardInterrupt
        write(file, records)

    monkeypatch.setattr(shards, "write_shard", interrupt)
    with pytest.raises(SystemExit) as caught:
        convert(tfrecords, tmp_path / "new")
    assert caught.value.code == 130
    assert not (tmp_path / "new" / "mine" / "1.0.0").exists()
    convert(tfrecords, tmp_path / "new")
    assert len(written) == 9 + 1  # the fifth of the nine shards twice
    assert contents(tmp_path / "new") == contents(tmp_path / "whole")
    convert(tfrecords, tmp_path / "new")
    assert len(written) == 9 + 1
    assert "mine is ready already" in capsys.readouterr().out


def cut_short(data: bytes) -> bytes:
    return data[:-20]


def flip(data: bytes) -> bytes:
    return data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]


def lengthen(data: bytes) -> bytes:
    return data + data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut_short, "demo-test.tfrecord-00002-of-00003 ends within record 33: copy the file again"),
        (flip, "record 33 of {}/demo-test.tfrecord-00002-of-00003 is damaged"),
        (lengthen, "demo-test.tfrecord-00002-of-00003 goes on after record 33"),
        (lambda data: b"", "demo-test.tfrecord-00002-of-00003 ends within record 0"),
        (lambda data: b"\xff" + data[1:], "record 0 of {}/demo-test.tfrecord-00002-of-00003 is damaged"),
    ],
)
def test_damage_is_named_and_can_be_mended(tfrecords, tmp_path, capsys, change, said):
    convert(tfrecords, tmp_path / "whole")
    file = tfrecords / "demo-test.tfrecord-00002-of-00003"
    good = file.read_bytes()
    file.write_bytes(change(good))
    with pytest.raises(SystemExit) as caught:
        convert(tfrecords, tmp_path / "new")
    assert caught.value.code == 2
    assert said.format(tfrecords) in capsys.readouterr().err
    assert not list(tmp_path.glob("new/mine/1.0.0*/*.part"))
    assert not (tmp_path / "new" / "mine" / "1.0.0").exists()
    file.write_bytes(good)
    convert(tfrecords, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(tmp_path / "whole")


def remove(name: str):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("dataset_info.json"), "holds no dataset_info.json"),
        (remove("features.json"), "is not described well enough"),
        (remove("demo-train.tfrecord-00001-of-00003"), "1 of the files"),
        (lambda folder: (folder / "dataset_info.json").write_text("{"), "dataset_info.json is damaged"),
        (lambda folder: folder.rename(folder.parents[1] / "2.0.0"), "Did you mean"),
    ],
)
def test_mistakes_are_named(tfrecords, tmp_path, capsys, change, said):
    change(tfrecords)
    given = tfrecords if tfrecords.exists() else tmp_path
    with pytest.raises(SystemExit) as caught:
        convert(given, tmp_path / "new")
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_the_tfrecords_are_never_written_over(tfrecords, tmp_path, capsys):
    before = contents(tfrecords)
    with pytest.raises(SystemExit):
        convert(tfrecords, tmp_path / "old", "demo")
    assert "holds the TFRecords themselves" in capsys.readouterr().err
    assert contents(tfrecords) == before


def test_array_records_are_no_tfrecords(demo_directory, tmp_path, capsys):
    assert "castream_demo" in OWN_BUILDERS
    with pytest.raises(SystemExit):
        convert(demo_directory / "castream_demo" / "1.0.0", tmp_path)
    assert "holds array_record, no TFRecords" in capsys.readouterr().err


def test_unconverted_tfrecords_say_how_to_convert_them(tfrecords):
    with pytest.raises(ValueError, match=f"prepare demo --tfrecords={tfrecords} --directory=DIR"):
        open_source("demo", "train", str(tfrecords.parents[1]))
