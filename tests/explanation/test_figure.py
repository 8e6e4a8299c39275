"""The figure that a notebook draws."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from castream_jax.drawing.sheet import PRINT_DPI
from castream_jax.errors import InputError
from castream_jax.explanation.figure import Explanation, percent, save_for_print
from castream_jax.explanation.gallery import describe_view
from tests.drawing.recorded import check_texts
from tests.explanation.synthetic import CLASS_NAMES, PAIRS, create_explained, create_failed

pytestmark = pytest.mark.slow

LONG = tuple(f"black-and-white colobus of the forest {i:02d}" for i in range(6))


def texts(sheet) -> list[str]:
    return [text.get_text() for text in sheet.figure.texts]


def test_one_picture_has_its_name_and_top_predictions():
    picture = create_explained(drawn=2)
    sheet = Explanation("resnet18", (picture,), CLASS_NAMES).sheet()
    found = " ".join(texts(sheet))
    top = percent(picture.probabilities["gap"].max())
    assert "a.jpg" in found
    assert f"GAP predicts: {CLASS_NAMES[2]} ({top})" in found
    assert "what the network saw: 32 x 24 pixels" in found
    assert "cat (GAP" in found  # the second class drawn, and what was predicted instead
    assert f"GAP predicts {CLASS_NAMES[2]}" in found
    pictures = sheet.figure.axes[:-1]
    assert len(pictures) == 2 * (1 + len(PAIRS))
    box = pictures[0].get_window_extent()
    assert box.height / box.width == pytest.approx(0.75)


@pytest.mark.parametrize("count", [1, 3])
def test_texts_of_40_letters_do_not_overlap(count):
    pictures = tuple(create_explained(name=f"{i}{'x' * 80}.jpg", drawn=3, ratio=1.4, seed=i) for i in range(count))
    sheet = Explanation("resnet18", pictures, LONG).sheet()
    check_texts(sheet)
    assert len(sheet.figure.axes) == count * 3 * (1 + len(PAIRS)) + 1


def test_files_by_their_suffix(tmp_path):
    explanation = Explanation("resnet18", (create_explained(),), CLASS_NAMES)
    for name, start in (("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.html", b"<!doctype")):
        explanation.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(InputError, match=r"a\.gif"):
        explanation.save(tmp_path / "a.gif")


def test_a_notebook_shows_a_png():
    data, shown = Explanation("resnet18", (create_explained(),), CLASS_NAMES)._repr_png_()
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert image.width / image.height == pytest.approx(shown["width"] / shown["height"], rel=0.01)


def test_pictures_of_two_sizes_are_not_one_figure():
    pictures = (create_explained(), create_explained(size=(32, 32)))
    with pytest.raises(InputError, match="differ|sizes"):
        Explanation("resnet18", pictures, CLASS_NAMES).sheet()


def test_for_print(tmp_path):
    sheet = Explanation("resnet18", (create_explained(),), CLASS_NAMES).sheet()
    pdf, png = save_for_print(sheet, tmp_path / "figure v1.2")
    assert (pdf.name, png.name) == ("figure v1.2.pdf", "figure v1.2.png")
    with Image.open(png) as image:
        assert image.width == pytest.approx(sheet.width * PRINT_DPI, abs=2)
        assert min(image.info["dpi"]) == pytest.approx(PRINT_DPI, abs=1)


def test_what_is_said_of_the_view():
    picture = create_explained()
    assert describe_view([picture]) == "Shown is what the network saw: 32 x 24 pixels."
    turned = dataclasses.replace(picture, view=dataclasses.replace(picture.view, ratio=1.5))
    assert describe_view([picture, turned]).endswith("pixels, stretched back to the shape of the picture.")
    full = dataclasses.replace(picture, view=dataclasses.replace(picture.view, shown=np.zeros((60, 80, 3), np.uint8)))
    assert describe_view([full], in_full=True).endswith("in the picture's own resolution; it saw 32 x 24 pixels.")
    assert describe_view([full]) == describe_view([picture]) == describe_view([picture], in_full=True)


def test_probabilities_for_people():
    shown = {1.0: "100.0 %", 0.5: "50.0 %", 0.0006: "0.1 %", 0.0004: "< 0.1 %", np.inf: "—"}
    assert {probability: percent(np.float32(probability)) for probability in shown} == shown
    assert percent(float("nan")) == "—"


def test_failed_maps_and_answers_are_said():
    sheet = Explanation("resnet18", (create_failed(),), CLASS_NAMES).sheet()
    found = " ".join(texts(sheet))
    assert "CA predicts: not a number" in found
    assert "cat (GAP" in found
    assert found.count("CA predicts not a number)") == 2  # above each of the two classes
    remarks = [" ".join(text.get_text().split()) for axes in sheet.figure.axes for text in axes.texts]
    assert sorted(remarks) == ["not a number", "nothing positive for this class"]
    check_texts(sheet)
