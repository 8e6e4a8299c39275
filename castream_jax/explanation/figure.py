"""What was found in some pictures, to look at: a grid that a notebook shows, files, and a gallery."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from castream_jax.drawing.grid import HeatMaps, lay_grid
from castream_jax.drawing.sheet import DPI, PRINT_DPI, Sheet
from castream_jax.errors import InputError
from castream_jax.explanation.explainer import LISTED, Explained
from castream_jax.explanation.gallery import describe_view, render_gallery
from castream_jax.storage.replacement import replacing
from castream_jax.wording import NOT_A_NUMBER, name_class, name_pooling

NOTHING = 0.0005
"""A probability that rounds to 0.0 %."""
SCREEN_DPI = 130
"""Of a figure in a notebook, which has more pixels for dense screens."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Pictures with what a network sees in them; a notebook draws it.

    `pictures[i].maps["grad_cam", "ca"]` are the maps of its K classes, float32 [K h w] in 0..1.
    """

    network: str
    pictures: tuple[Explained, ...] = field(repr=False)
    class_names: tuple[str, ...] = field(repr=False)

    def heat_maps(self) -> HeatMaps:
        """Return a row for each picture and drawn class.

        Raises:
          InputError: the pictures differ in size, so that they cannot be drawn together.
        """
        rows = [(picture, k) for picture in self.pictures for k in range(picture.drawn)]
        sizes = sorted({picture.pixels.shape[:2] for picture in self.pictures})
        if len(sizes) != 1:
            raise InputError(f"the pictures have the sizes {sizes}: expected one size to draw them in one figure.")
        return HeatMaps(
            images=np.stack([picture.pixels for picture, _ in rows]),
            ids=tuple(picture.name for picture, _ in rows) if len(self.pictures) > 1 else ("",) * len(rows),
            titles=tuple(self._title(picture, picture.classes[k]) for picture, k in rows),
            maps={key: np.stack([picture.maps[key][k] for picture, k in rows]) for key in self.pictures[0].maps},
            ratios=tuple(picture.ratio for picture, _ in rows),
            remarks={key: tuple(picture.remark(key, k) for picture, k in rows) for key in self.pictures[0].maps},
        )

    def sheet(self) -> Sheet:
        """Return the grid as a page; a single picture's with its name and its top predictions."""
        return lay_grid(self.heat_maps(), intro=self._intro() if len(self.pictures) == 1 else ())

    def save(self, path: str | Path) -> None:
        """Write the grid to a `.png` or, for print, a `.pdf`, or the gallery to an `.html`.

        Raises:
          InputError: another suffix.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".html":
            text = render_gallery(self.network, self.pictures, self.class_names)
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        elif suffix in (".png", ".pdf"):
            self.sheet().save(path)
        else:
            raise InputError(f"cannot save to {str(path)!r}: expected a name that ends in .png, .pdf or .html.")

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the grid as a PNG, and the size at which a notebook shows it."""
        sheet = self.sheet()
        return sheet.png(), {"width": round(sheet.width * SCREEN_DPI), "height": round(sheet.height * SCREEN_DPI)}

    def _title(self, picture: Explained, label: int) -> str:
        """Name a class with its probabilities, and what was predicted instead."""
        said = [f"{name_pooling(key)} {percent(values[label])}" for key, values in picture.probabilities.items()]
        others = [(pooling, found) for pooling, found in picture.predicted.items() if found != label]
        said += [f"{name_pooling(pooling)} predicts {name_class(found, self.class_names)}" for pooling, found in others]
        return f"{self.class_names[label]} ({', '.join(said)})"

    def _intro(self) -> list[str]:
        """Return the picture's name, its top predictions by pooling, and how it is shown."""
        picture = self.pictures[0]
        lines = [picture.name]
        for pooling, values in picture.probabilities.items():
            top = np.argsort(-values, kind="stable")[:LISTED]
            kept = [label for i, label in enumerate(top) if not i or values[label] >= NOTHING]
            listed = [f"{self.class_names[label]} ({percent(values[label])})" for label in kept]
            listed = listed if np.isfinite(values).all() else [NOT_A_NUMBER]
            lines.append(f"{name_pooling(pooling)} predicts: " + ", ".join(listed))
        return [*lines, describe_view(self.pictures)]


def percent(probability: float | np.float32) -> str:
    """Return a probability for people; a dash where it is not finite."""
    if not np.isfinite(probability):
        return "—"
    return f"{100 * probability:.1f} %" if probability >= NOTHING else "< 0.1 %"


def save_for_print(sheet: Sheet, stem: Path) -> list[Path]:
    """Write a page as PDF with real text and as PNG of `PRINT_DPI` dots an inch, and return their paths."""
    paths = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".pdf", ".png")]
    for path, dpi in zip(paths, (DPI, PRINT_DPI), strict=True):
        sheet.save(path, dpi)
    return paths
