"""Photographs to try a network on, which installed packages bring: nothing is downloaded."""

import importlib.util
from pathlib import Path

PHOTOGRAPHS = {
    "skimage": ("data/chelsea.png", "data/coffee.png", "data/rocket.jpg", "data/astronaut.png"),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
"""A cat, coffee, a rocket, an astronaut, a temple and a flower, by package."""


def find_photographs() -> list[Path]:
    """Return the paths of the photographs that are there."""
    found = []
    for package, files in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        found += [Path(folder, file) for folder in folders or () for file in files]
    return [path for path in found if path.is_file()]
