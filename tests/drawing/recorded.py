"""Pages as they are drawn, for tests that look at what lies where."""

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from castream_jax.drawing.sheet import Sheet


def record_sheets(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Sheet]:
    """Return a list that every page comes to which a module draws from now on."""
    drawn: list[Sheet] = []

    class Recorded(Sheet):
        def __init__(self, width, height):
            super().__init__(width, height)
            drawn.append(self)

    monkeypatch.setattr(module, "Sheet", Recorded)
    return drawn


def read_width(path: Path) -> int:
    """Return the width of a PNG in pixels."""
    with Image.open(path, formats=["PNG"]) as image:
        return image.width


def boxes(sheet):
    """Return the extents of all non-empty texts of a page, in pixels."""
    renderer = sheet.canvas.get_renderer()
    return {text: text.get_window_extent(renderer) for text in sheet.figure.texts if text.get_text()}


def check_texts(sheet):
    """Assert that texts lie on the page, and neither on each other nor on a picture."""
    found = list(boxes(sheet).items())
    width, height = sheet.canvas.get_width_height()
    pictures = [axes.get_window_extent() for axes in sheet.figure.axes]
    for i, (text, box) in enumerate(found):
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text  # noqa: PT018
        others = [other for _, other in found[i + 1 :]] + pictures
        for other in others:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            along = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across <= 0 or along <= 1, text
