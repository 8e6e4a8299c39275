"""Takes the picture of the app that the documentation shows: EfficientNet-Lite0 and a photograph of scikit-learn.

    python tools/photograph_app.py [FILE]

It starts the app, opens it in Debian's chromium, and writes docs/images/app.jpg. It needs the extras app, real and dev.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).parent.parent / "docs" / "images" / "app.jpg"
WIDTH, HEIGHT = 1280, 960


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start the app, and yield its address."""
    command = [sys.executable, "-m", "castream_jax.app", "--config=efficientnet_lite0_gap", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        try:
            yield app.stdout.readline().split()[1]
        finally:
            app.terminate()


def photograph(address: str, file: Path) -> None:
    """Open the page, choose the temple's photograph and two methods, and write what is seen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(180_000)
        page.goto(address)
        page.wait_for_selector("#panel_b canvas[data-map^='Grad-CAM++']")
        page.check("#method_b input[value=score_cam]")
        page.wait_for_selector("#panel_b canvas[data-map^='Score-CAM']")
        page.click("#examples button[title=china]")
        page.wait_for_selector("#panel_b canvas[data-map^='Score-CAM'][aria-label^='china']")
        page.mouse.move(WIDTH - 1, HEIGHT - 1)
        page.screenshot(path=file, type="jpeg", quality=85)
        browser.close()


if __name__ == "__main__":
    with running() as address:
        photograph(address, Path(sys.argv[1]) if sys.argv[1:] else FILE)
