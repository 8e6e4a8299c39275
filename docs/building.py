"""What `mkdocs build` does beside Markdown: equations become MathML, and the map of imports is drawn.

MathML needs no script and no font from elsewhere. The map is drawn from the table that the tests enforce.
"""

import html
import re
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
from markdown.extensions.toc import slugify

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.test_architecture import MAY_IMPORT

MAP = "<!-- map of imports -->"
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
METHOD = (Path(__file__).parent / "method.md").read_text()
SECTIONS = {title[0]: slugify(title, "-") for title in re.findall(r"^## (\d.*)", METHOD, re.MULTILINE)}
COLUMN, ROW, WIDTH, HEIGHT = 138, 38, 114, 26


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the map of imports where a page asks for it."""
    return markdown.replace(MAP, draw_imports(MAY_IMPORT)) if MAP in markdown else markdown


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Turn TeX into MathML, and "METHOD 2" of a docstring into a link to that section."""
    method = f"{'../' * page.url.count('/')}method.html"
    content = re.sub(r"METHOD (\d)", lambda match: f'<a href="{method}#{SECTIONS[match[1]]}">{match[0]}</a>', content)

    def convert(match: re.Match[str]) -> str:
        tag, tex = match.groups()
        mathml = latex2mathml.converter.convert(
            html.unescape(tex).strip(), display="block" if tag == "div" else "inline"
        )
        return f'<{tag} class="equation">{mathml}</{tag}>'

    return EQUATION.sub(convert, content)


def draw_imports(may_import: dict[str, set[str]]) -> str:
    """Return the parts of the package as an SVG: a column holds what needs only the columns left of it.

    An arrow that follows from two others is left out, and so is `errors`, which all parts may import.
    """
    needs = {part: set(names) for part, names in may_import.items() if part != "errors"}
    columns: dict[str, int] = {}
    while len(columns) < len(needs):
        columns |= {
            part: 1 + max((columns[need] for need in needs[part]), default=-1)
            for part in needs
            if part not in columns and needs[part] <= columns.keys()
        }

    def reach(part: str) -> set[str]:
        return needs[part].union(*map(reach, needs[part]))

    arrows = [
        (part, need)
        for part in needs
        for need in needs[part]
        if not any(need in reach(other) for other in needs[part] - {need})
    ]
    places: dict[str, tuple[float, float]] = {}
    for column in range(max(columns.values()) + 1):
        heights = {}
        for part in (part for part in needs if columns[part] == column):
            below = [places[need][1] for name, need in arrows if name == part]
            above = [columns[name] for name, need in arrows if need == part]
            heights[part] = sum(below) / len(below) if below else 1000 * min(above, default=9)
        members = sorted(heights, key=heights.__getitem__)
        wanted = sum(heights[part] - i * ROW for i, part in enumerate(members)) / len(members)
        top = max(10, wanted) if column else 10
        places |= {part: (10 + column * COLUMN, top + i * ROW) for i, part in enumerate(members)}
    shapes = []
    for part, need in arrows:
        (x, y), (to, down) = places[part], places[need]
        start, end, middle = f"{x} {y + HEIGHT / 2}", f"{to + WIDTH + 7} {down + HEIGHT / 2}", (x + to + WIDTH) / 2
        bend = f"{middle} {y + HEIGHT / 2} {middle} {down + HEIGHT / 2}"
        shapes.append(f'<path d="M{start}C{bend} {end}" marker-end="url(#tip)"/>')
    for part, (x, y) in places.items():
        shapes.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>')
        shapes.append(f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 5}">{part}</text>')
    size = f"{20 + max(columns.values()) * COLUMN + WIDTH} {max(y for _, y in places.values()) + ROW}"
    tip = '<marker id="tip" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="7" markerHeight="7" orient="auto">'
    tip += '<path d="M0 0L6 3L0 6z"/></marker>'
    title = "<title>Which part of castream_jax may import which</title>"
    svg = f'<svg viewBox="0 0 {size}" role="img">{title}<defs>{tip}</defs>{"".join(shapes)}</svg>'
    return f'<div class="imports">{svg}</div>'
