"""Writes each notebook's .ipynb from its .py: python notebooks/pair.py, after every change.

The address of the repository is set in one place, `project.urls` of pyproject.toml, and written from there into the
notebooks and their page in the docs.
"""

import re
import tomllib
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).parent
ROOT = NOTEBOOKS.parent
PAGE = ROOT / "docs" / "notebooks.md"
SCRIPTS = sorted(set(NOTEBOOKS.glob("*.py")) - {Path(__file__)})


def read_address() -> str:
    """Return OWNER/castream_jax, the repository on GitHub."""
    url = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    return url.removeprefix("https://github.com/")


def write_address(text: str, address: str) -> str:
    """Return a text whose links to GitHub, and those of Colab through it, lead to the repository."""
    return re.sub(r"(github(?:\.com)?)/[\w.-]+/castream_jax", rf"\1/{address}", text)


def render(script: str) -> str:
    """Return the .ipynb of a notebook's .py: without outputs, and always the same."""
    notebook = jupytext.reads(script, fmt="py:percent")
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    return nbformat.writes(notebook, version=4) + "\n"


def main() -> None:
    """Write the address where it is said, then every .ipynb."""
    address = read_address()
    for file in [*SCRIPTS, PAGE]:
        file.write_text(write_address(file.read_text(encoding="utf-8"), address), encoding="utf-8")
    for file in SCRIPTS:
        file.with_suffix(".ipynb").write_text(render(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
