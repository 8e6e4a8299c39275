"""Explains photographs that scikit-image and scikit-learn ship with, by EfficientNet-Lite0 with weights of a package.

    python tools/explain_photos.py

A cat, coffee, a rocket, an astronaut, a temple and a flower; flags are those of explain.py. `make photos` installs what
it needs.
"""

import importlib.util
import sys
from pathlib import Path

from castream_jax.cli import explain

PHOTOS = {
    "skimage": ("data/chelsea.png", "data/coffee.png", "data/rocket.jpg", "data/astronaut.png"),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
"""By package; nothing is downloaded."""


def find_photos() -> list[str]:
    """Return the paths of the photographs that are there."""
    found = []
    for package, files in PHOTOS.items():
        spec = importlib.util.find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        paths = [Path(folder, file) for folder in folders or () for file in files]
        found += [str(path) for path in paths if path.is_file()]
    return found


if __name__ == "__main__":
    flags = ["--config=efficientnet_lite0_gap", "--workdir=runs/photos"]
    explain.main([sys.argv[0], *find_photos(), *flags, *sys.argv[1:]])
