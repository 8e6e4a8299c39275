"""The app in a browser: drop a picture, choose class and map, and nothing but its own server is asked."""

import contextlib
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from castream_jax.app.server import HOST, listen, name_address, serving
from tests.app.hostile import write_hostile
from tests.app.small_viewer import CLASS_NAMES, create_viewer

pytest.importorskip("gradio", reason="no gradio here: install the extra app")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what gradio calls
    pytest.mark.slow,
]


@contextlib.contextmanager
def running(viewer) -> Iterator[str]:
    """Serve the app beside the test, and yield its address."""
    viewer.warm_up()
    with listen(HOST, 0) as listening, serving(viewer, HOST) as server:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield name_address(listening)
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def address():
    with running(create_viewer()) as address:
        yield address


@pytest.fixture
def page(chromium, address) -> Iterator:
    """Return the page, with the first example in it; fails in the end on errors, or requests to others."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    page.asked = asked
    page.goto(address)
    wait_for_title(page, "a", "Grad-CAM, GAP")
    wait_for_title(page, "b", "Grad-CAM, CA")
    yield page
    context.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert not said, said


def wait_for_title(page, side: str, beginning: str) -> str:
    """Wait until a panel shows a map whose title begins so, and return the title."""
    canvas = f"#panel_{side} canvas[data-map^={beginning!r}]"
    page.wait_for_selector(canvas)
    return page.get_attribute(canvas, "data-map")


def pixels(page, side: str) -> str:
    return page.evaluate(f"document.querySelector('#panel_{side} canvas').toDataURL()")


def choose_class(page, side: str, name: str) -> None:
    page.fill(f"#class_{side} input", name)
    page.click(f"#class_{side} [role=option] >> text='{name}'")


def test_drop_a_picture_choose_and_compare(page, tmp_path):
    before = pixels(page, "a")
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 150, 3), dtype=np.uint8)).save(path)
    page.set_input_files("#file input[type=file]", path)
    page.wait_for_function("document.querySelector('#panel_a canvas').width == 150")
    wait_for_title(page, "a", "Grad-CAM, GAP")
    dropped = pixels(page, "a")
    assert dropped != before
    assert page.inner_text("#answers tr:first-child").split("\t") == ["Top classes of noise.png", "GAP", "CA"]
    assert page.locator("#answers tbody tr").count() == len(CLASS_NAMES)

    choose_class(page, "a", "crane, machine")  # of one map
    assert wait_for_title(page, "a", "Grad-CAM, GAP, for class crane, machine")
    assert pixels(page, "a") != dropped

    page.click("#answers button >> text='7'")  # of both
    wait_for_title(page, "a", "Grad-CAM, GAP, for class 7")
    wait_for_title(page, "b", "Grad-CAM, CA, for class 7")
    seen = pixels(page, "b")
    page.check("#method_b input[value=score_cam]")
    wait_for_title(page, "b", "Score-CAM, CA, for class 7")
    assert pixels(page, "b") != seen

    page.check("#method_a input[value=attention]")  # which GAP has not
    wait_for_title(page, "a", "Raw attention, CA")
    assert page.locator("#pooling_a input").count() == 1

    seen, asked = pixels(page, "a"), len(page.asked)
    page.fill("#opacity input[type=number]", "0")
    page.press("#opacity input[type=number]", "Enter")
    page.wait_for_timeout(300)
    assert pixels(page, "a") != seen
    assert len(page.asked) == asked  # the server was not asked

    page.uncheck("#compare input")
    page.wait_for_selector("#panel_b", state="hidden")


def test_what_is_no_picture_gets_a_sentence(page, tmp_path):
    before = pixels(page, "a")
    for name, path in write_hostile(tmp_path).items():
        page.set_input_files("#file input[type=file]", path)
        page.wait_for_selector(f"#notice p >> text=cannot read {name}")
        said = page.inner_text("#notice")
        assert "Traceback" not in said
        assert "\n" not in said.strip()
    assert pixels(page, "a") == before
    page.click("#examples button >> nth=2")
    page.wait_for_selector("#notice p", state="hidden")
    page.wait_for_function("!document.querySelector('#panel_a canvas').getAttribute('aria-label').includes('chelsea')")


def test_narrow_and_dark(page):
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [1280, 390])
def test_the_answers_of_six_poolings_find_room(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    names = ["GAP", "CA (taps=stage3+stage4)", "SimPool", "Efficient probing", "Class attention", "GeM (p=4)"]
    classes = [{"label": i, "name": f"class {i}", "shares": [0.9, 0.8, 0.7, 0.6, None, 0.0001]} for i in range(5)]
    value = {"name": "a.jpg", "poolings": names, "classes": classes, "said": ""}
    page.evaluate("value => castream.answers(document.querySelector('#answers'), value, () => {})", value)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    line = page.locator("#answers tbody tr").first
    cells = line.locator("td.share").all()
    assert [cell.get_attribute("data-pooling") for cell in cells] == names
    assert [cell.inner_text() for cell in cells] == ["90.0 %", "80.0 %", "70.0 %", "60.0 %", "—", "< 0.1 %"]
    table = page.locator("#answers").bounding_box()
    for cell in cells:
        box = cell.bounding_box()
        assert table["x"] <= box["x"] and box["x"] + box["width"] <= table["x"] + table["width"] + 1  # noqa: PT018
        assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth + 1")
        assert cell.evaluate("cell => getComputedStyle(cell, '::before').content").strip('"') in names
