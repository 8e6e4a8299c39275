"""A page to draw on: lengths in inches from its top left corner, text that is measured before it is placed."""

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from castream_jax.storage.replacement import replacing

PAGE_WIDTH = 7.0
"""Inches: the text width of a paper's page."""
DPI = 200
PRINT_DPI = 400
"""Of a PNG for print."""
TEXT, SMALL, STAMP = 7.5, 6.5, 5.5
"""Text sizes in points."""

_RULER = RendererAgg(1, 1, DPI)


class Sheet:
    """A white page measured in inches from its top left corner; it draws, and no state is shared with other pages."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes whose top left corner is at (x, y)."""
        bottom = self.height - y - height
        return self.figure.add_axes((x / self.width, bottom / self.height, width / self.width, height / self.height))

    def write(self, x: float, y: float, text: str, **changes: Any) -> None:
        """Write text at (x, y), taken literally."""
        style: dict[str, Any] = {"fontsize": TEXT, "color": "black"} | changes
        self.figure.text(x / self.width, 1 - y / self.height, text, parse_math=False, **style)

    def stamp(self, axes: Axes, text: str, width: float) -> None:
        """Write text in the middle of axes that are `width` inches wide, on white."""
        lines = "\n".join(wrap(text, width - 0.1, STAMP))
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        style: dict[str, Any] = {"fontsize": STAMP, "color": "black", "bbox": box, "parse_math": False}
        axes.text(0.5, 0.5, lines, transform=axes.transAxes, ha="center", va="center", **style)

    def rule(self, left: float, right: float, y: float, **changes: Any) -> None:
        """Draw a horizontal line, thin and black unless `changes` says otherwise."""
        height = 1 - y / self.height
        ends = [left / self.width, right / self.width]
        style: dict[str, Any] = {"color": "black", "linewidth": 0.5} | changes
        self.figure.add_artist(Line2D(ends, [height, height], **style))

    def save(self, path: str | Path, dpi: int = DPI) -> None:
        """Write the page as a file that appears all at once: a PNG, or a PDF with real text where the name ends so."""
        kind = "pdf" if Path(path).suffix.lower() == ".pdf" else "png"
        with replacing(path) as temporary, rc_context({"pdf.fonttype": 42}):  # TrueType: what publishers ask for
            # No date: the same page has the same bytes.
            self.figure.savefig(
                temporary, format=kind, dpi=dpi, metadata={"CreationDate": None} if kind == "pdf" else {}
            )

    def png(self) -> bytes:
        """Return the page as a PNG."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png")
        return buffer.getvalue()


def wrap(text: str, width: float, size: float) -> list[str]:
    """Return text in lines of at most `width` inches at a font size; a word that is too long is broken."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if measure(joined, size) <= width:
            lines[-1] = joined
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = word
        while measure(lines[-1], size) > width and len(lines[-1]) > 1:
            word, fits = lines[-1], 1
            while measure(word[: fits + 1], size) <= width:
                fits += 1
            lines[-1:] = [word[:fits], word[fits:]]
    return lines


def measure(text: str, size: float) -> float:
    """Return the width of a line of text in inches, as `Sheet.write` draws it."""
    width, _, _ = _RULER.get_text_width_height_descent(text, FontProperties(size=size), False)
    return width / DPI
