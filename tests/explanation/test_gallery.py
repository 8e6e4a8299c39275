"""The gallery: what is in the file, and how it behaves in a browser."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from castream_jax.drawing.overlay import overlay
from castream_jax.explanation.explainer import Explained
from castream_jax.explanation.gallery import encode_picture, render_gallery
from tests.contrasts import check_contrasts
from tests.explanation.synthetic import CLASS_NAMES, PAIRS, create_explained, create_failed


def pictures() -> list[Explained]:
    smooth = np.add.outer(np.arange(24) * 5, np.arange(32) * 3)[..., None] + np.array([0, 20, 40])
    found = [create_explained(name=f"{name}.jpg", seed=i) for i, name in enumerate(("a", "b", "<i>c</i>"))]
    found[0].pixels[:] = smooth  # a JPEG keeps it nearly as it is
    return found


def read(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_one_file_with_every_picture_once():
    shown = pictures()
    page = render_gallery("resnet18", shown, CLASS_NAMES, skipped=["cannot read <x>"])
    for picture in shown:
        assert page.count(encode_picture(picture.pixels)) == 1
    assert not re.findall(r'(?:src|href)="|https?:|url\(|@import', page)
    assert "cannot read &lt;x&gt;" in page
    assert "<i>c</i>" not in page
    data = read(page)
    assert [picture["name"] for picture in data["pictures"]] == ["a.jpg", "b.jpg", "<i>c</i>.jpg"]
    assert set(data["pictures"][0]["maps"]) == {"/".join(pair) for pair in PAIRS}


def test_classes_are_the_top_ones_and_those_explained():
    picture = create_explained(classes=(2, 0))
    found = read(render_gallery("resnet18", [picture], CLASS_NAMES))["pictures"][0]["classes"]
    probabilities = [max(entry["probabilities"]) for entry in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {entry["name"]: entry["place"] for entry in found if entry["place"] is not None} == {
        CLASS_NAMES[2]: 0,
        CLASS_NAMES[0]: 1,
    }
    assert 5 <= len(found) <= len(CLASS_NAMES)


def test_names_cannot_leave_the_data():
    """Nor is a name of a class or a file a command of the page's, which may load nothing."""
    name = "</script><script>alert('1')</script>\"'><!--"
    names = [name, *CLASS_NAMES[1:]]
    page = render_gallery("resnet18", [create_explained(name=name, classes=(0,))], names, skipped=[name])
    assert page.count("</script>") == 2  # the data's and the page's own
    assert "alert('" not in page
    found = read(page)["pictures"][0]
    assert found["name"] == name
    assert name in [entry["name"] for entry in found["classes"]]
    assert "content=\"default-src 'none'; img-src data:;" in page
    assert "PNG files" not in page  # none are written here


def with_nan() -> Explained:
    """Return a picture of a network that CA broke."""
    picture = create_explained(classes=(2,))
    picture.probabilities["ca"][:] = np.nan
    picture.maps["grad_cam", "ca"][:] = np.nan
    return picture


def test_what_is_not_finite_is_valid_json():
    text = re.search(r'id="data">(.*?)</script>', render_gallery("resnet18", [with_nan()], CLASS_NAMES), re.S)[1]
    found = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    gap, ca = found["pictures"][0]["classes"][0]["probabilities"]
    assert gap > 0
    assert ca is None


def test_no_pictures_is_a_page_too():
    assert read(render_gallery("resnet18", [], CLASS_NAMES))["pictures"] == []


def test_the_page_knows_what_failed():
    plain, failed = read(render_gallery("resnet18", [create_explained(classes=(2, 0)), create_failed()], CLASS_NAMES))[
        "pictures"
    ]
    assert {remark for maps in plain["maps"].values() for remark in maps["remarks"]} == {""}
    assert plain["answer"] == ""
    assert failed["answer"] == "CA predicts: not a number"
    assert failed["maps"]["grad_cam/ca"]["remarks"] == ["", "not a number"]
    assert failed["maps"]["grad_cam/gap"]["remarks"] == ["", "nothing positive for this class"]
    shown = [entry["probabilities"][0] for entry in failed["classes"]]
    assert shown == sorted(shown, reverse=True)  # by the pooling that has probabilities


def test_what_failed_is_written_below_the_picture_and_its_map(chromium_page, tmp_path):
    (tmp_path / "a.html").write_text(render_gallery("resnet18", [create_failed()], CLASS_NAMES), encoding="utf-8")
    chromium_page.goto((tmp_path / "a.html").as_uri())
    chromium_page.wait_for_selector("#caption strong")
    assert caption(chromium_page).endswith("CA predicts: not a number")
    chromium_page.check("input[name=class][value='1']", force=True)
    chromium_page.check("input[value='grad_cam/gap']", force=True)
    assert "for class cat: nothing positive for this class" in caption(chromium_page)
    notes = chromium_page.eval_on_selector_all(".map .remark", "found => found.map(one => one.textContent)")
    assert sorted(filter(None, notes)) == ["not a number", "nothing positive for this class"]


@pytest.fixture
def page(chromium_page, tmp_path):
    """Return the gallery of three pictures, opened from the disk."""
    file = tmp_path / "index.html"
    file.write_text(render_gallery("resnet18", pictures(), CLASS_NAMES), encoding="utf-8")
    chromium_page.set_viewport_size({"width": 420, "height": 800})
    chromium_page.goto(file.as_uri())
    chromium_page.wait_for_selector("#caption strong")
    return chromium_page


def test_every_text_stands_out(page):
    check_contrasts(page)


def test_a_dash_stands_for_what_is_not_finite(chromium_page, tmp_path):
    (tmp_path / "a.html").write_text(render_gallery("resnet18", [with_nan()], CLASS_NAMES), encoding="utf-8")
    chromium_page.goto((tmp_path / "a.html").as_uri())
    chromium_page.wait_for_selector("#classes tr")
    assert chromium_page.inner_text("#classes td.share:last-child") == "—"


def pixels(page) -> np.ndarray:
    """Return what the large canvas shows, [H W 3]."""
    url = page.evaluate("document.getElementById('view').toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(picture.convert("RGB")).astype(np.float32)


def caption(page) -> str:
    return page.inner_text("#caption")


def slide(page, value: int) -> None:
    page.fill("#opacity", str(value))


def test_colours_are_those_of_the_figures(page):
    picture = pictures()[0]
    page.check("input[value='grad_cam/ca']", force=True)
    expected = overlay(np.float32(picture.pixels / 255), picture.maps["grad_cam", "ca"][0]) * 255
    assert np.abs(pixels(page) - expected).mean() < 1.5
    slide(page, 0)
    assert np.abs(pixels(page) - picture.pixels).mean() < 1.5  # the picture, through its JPEG
    slide(page, 100)
    alone = pixels(page)
    assert not np.allclose(alone, expected, atol=10)
    page.check("input[name=class][value='1']", force=True)
    assert not np.allclose(alone, pixels(page), atol=10)


def test_arrow_keys_go_through_pictures_and_lists(page):
    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(60)

    assert caption(page) == "a.jpg\nRaw attention, CA"
    press("ArrowRight", "ArrowRight")
    assert caption(page).startswith("<i>c</i>.jpg")
    press("ArrowRight", "ArrowLeft", "ArrowLeft")
    assert caption(page).startswith("b.jpg")
    press("Tab")
    assert page.evaluate("document.activeElement.name") == "picture"
    outlined = page.evaluate("getComputedStyle(document.activeElement.parentElement).outlineStyle")
    assert outlined == "solid"  # the focus can be seen
    press("ArrowRight")
    assert caption(page).startswith("<i>c</i>.jpg")
    press("Tab", "ArrowRight")
    assert page.inner_text("#percent") == "55 %"
    assert caption(page).startswith("<i>c</i>.jpg")  # the slider alone moved
    press("Tab")
    assert page.evaluate("document.activeElement.name") == "class"
    press("Tab", "ArrowRight")
    assert page.evaluate("document.activeElement.name") == "map"
    assert caption(page).startswith(f"<i>c</i>.jpg\nGrad-CAM, GAP, for class {CLASS_NAMES[2]}")
    assert page.get_attribute("#view", "aria-label").startswith("<i>c</i>.jpg: Grad-CAM, GAP")


def test_it_fits_a_telephone_and_every_control_has_a_name(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    unnamed = "[...document.querySelectorAll('input')].filter(i => !i.labels.length && !i.ariaLabel).length"
    assert page.evaluate(unnamed) == 0


def test_a_picture_in_its_own_resolution_beside_what_the_network_saw():
    plain = pictures()[0]
    full = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = dataclasses.replace(plain, view=dataclasses.replace(plain.view, shown=full, ratio=0.05))
    page = render_gallery("resnet18", [plain, picture], CLASS_NAMES)
    first, second = read(page)["pictures"]
    assert first["input"] is None
    assert (second["image"], second["input"]) == (encode_picture(full), encode_picture(plain.pixels))
    assert second["ratio"] == 0.1  # the most extreme shape that is shown
    assert "in the picture's own resolution; it saw" in page.replace("&#39;", "'")
