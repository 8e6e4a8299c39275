"""A page in Debian's headless Chromium, for tests of what people open; such a test skips where there is none."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Yield a headless browser, or skip."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium here: `apt-get install chromium` brings it")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: install the extra dev")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def chromium_page(chromium) -> Iterator[Any]:
    """Yield a page 1280 pixels wide; fails in the end on errors, messages of the console, or use of the network.

    `emulate_media(color_scheme="dark")` or `media="print"`, and `set_viewport_size`, change what it is like.
    """
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(120_000)  # of a machine that is busy with other tests
    said: list[str] = []
    page.on("console", lambda message: said.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: said.append(f"request: {request.url[:100]}") if is_remote(request.url) else None)
    yield page
    context.close()
    assert not said, said


def is_remote(url: str) -> bool:
    """Return whether an address is outside of the file that was opened."""
    return not url.startswith(("file:", "data:", "blob:", "about:"))
