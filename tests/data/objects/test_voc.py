"""Files of boxes: right, or refused in one message that names the file."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castream_jax.data.objects import voc
from castream_jax.data.objects.voc import read_annotation
from castream_jax.errors import InputError
from tests.data.annotations import describe

BOMB = "<!DOCTYPE annotation [{}]>".format(
    '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
)


def test_what_a_file_says(tmp_path):
    file = tmp_path / "a.xml"
    file.write_text(describe([(75, 100, 150, 300), (0, 0, 375, 500)], names=["dog ", "a\n cat"]))
    said = read_annotation(file)
    assert (said.size, said.names) == ((500, 375), ("dog", "a\n cat"))
    np.testing.assert_allclose(said.boxes, [(0.2, 0.2, 0.4, 0.6), (0, 0, 1, 1)])


def test_a_picture_without_objects(tmp_path):
    (tmp_path / "a.xml").write_text(describe([]))
    assert read_annotation(tmp_path / "a.xml").boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<annotation/>",
        describe([(1, 2, 3, "a")]),
        describe([], 0),
        describe([(1, 2, 3)]),
        describe([], "w"),
        describe([], "nan"),
        describe([], "1e400"),
        describe([], 33.5),
        describe([(1, 2, 3, "nan")]),
        describe([("nan", 2, 3, 4)]),
        describe([(1, 2, 3, "inf")]),
        describe([(3, 2, 1, 4)]),  # inverted
        describe([(1, 4, 3, 4)]),  # of no width
        describe([(-20, 2, 3, 4)]),
        describe([(1, 2, 400, 4)]),
        describe([(1, 2, 3, 502)]),
        f"<!DOCTYPE annotation>{describe([])}",
        f"<!DOCTYPE annotation SYSTEM 'http://127.0.0.1/x.dtd'>{describe([])}",
        BOMB + describe([(1, 2, 3, 4)], names=["&a9;"]),
        "<a>" * 100_000,
        describe([]).replace("</annotation>", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_files_that_say_no_boxes(text, encoding, tmp_path):
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"cannot read the boxes of .*a\.xml .*expected PASCAL VOC"):
        read_annotation(tmp_path / "a.xml")


def test_deep_files_are_nothing_special(tmp_path):
    (tmp_path / "a.xml").write_text(describe([]).replace("<folder>", "<folder>" + "<a>" * 200_000 + "</a>" * 200_000))
    assert read_annotation(tmp_path / "a.xml").size == (500, 375)


def test_what_is_no_file_or_too_large_is_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "zero.xml").symlink_to("/dev/zero")
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "huge.xml").touch()
    os.truncate(tmp_path / "huge.xml", 10**11)
    for name in ("pipe", "zero", "folder", "huge", "missing"):
        with pytest.raises(InputError, match=rf"cannot read the boxes of .*{name}\.xml"):
            read_annotation(tmp_path / f"{name}.xml")
    monkeypatch.setattr(voc, "LARGEST", len(describe([])) - 1)
    (tmp_path / "a.xml").write_text(describe([]))
    with pytest.raises(InputError, match="it has .* bytes: at most"):
        read_annotation(tmp_path / "a.xml")


def test_one_pixel_outside_is_rounding(tmp_path):
    (tmp_path / "a.xml").write_text(describe([(-1, -0.5, 376, 501)]))
    assert len(read_annotation(tmp_path / "a.xml").boxes) == 1


@given(text=st.binary(max_size=200), place=st.integers(0, 400))
def test_any_bytes_are_read_or_refused(text, place, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.xml"
    whole = describe([(1, 2, 3, 4)], names=["dog"]).encode()
    said = set()
    for content in (text, whole[:place] + text + whole[place + len(text) :]):
        file.write_bytes(content)
        try:
            boxes = read_annotation(file).boxes
        except InputError as error:
            said.add(str(file) in str(error))
        else:
            said.add(bool(np.isfinite(boxes).all()))
    assert said == {True}


@pytest.mark.parametrize("number", ["2_0", "nan", "inf", "1e", "٣", "0x10", ""])
def test_what_is_no_number(tmp_path, number):
    for text in (describe([(1, 2, 3, number)]), describe([], number)):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(InputError, match="is no number"):
            read_annotation(tmp_path / "a.xml")


def test_an_encoding_that_there_is_not(tmp_path):
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0" encoding="x-none"?>{describe([])}')
    with pytest.raises(InputError, match="unknown encoding"):
        read_annotation(tmp_path / "a.xml")
