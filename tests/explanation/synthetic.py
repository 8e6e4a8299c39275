"""Explained pictures of made-up values, for what draws them."""

import numpy as np

from castream_jax.explanation.explainer import Explained
from castream_jax.explanation.view import View

PAIRS = (("grad_cam", "gap"), ("grad_cam", "ca"), ("score_cam", "gap"), ("score_cam", "ca"), ("attention", "ca"))
CLASS_NAMES = ("cat", "black-and-white colobus of the old forest", "<b>dog</b> & $co$", "élan", "crane", "7")


def create_failed() -> Explained:
    """Return a picture of a network that CA broke, and of whose classes GAP finds nothing for the second."""
    picture = create_explained(classes=(2, 0), drawn=2)
    picture.probabilities["ca"][:] = np.nan
    for pair, flags in ((("grad_cam", "ca"), picture.nan), (("grad_cam", "gap"), picture.all_negative)):
        flags[pair][1] = True
        picture.maps[pair][1] = 0
    return picture


def create_explained(name="a.jpg", size=(24, 32), ratio=0.75, classes=(2, 0, 4), drawn=1, seed=0) -> Explained:
    """Return a picture with maps of different values everywhere; CA predicts class 2, GAP too."""
    values = np.random.default_rng(seed)
    probabilities = {
        pooling: values.dirichlet(np.ones(len(CLASS_NAMES))).astype(np.float32) for pooling in ("gap", "ca")
    }
    for found in probabilities.values():
        found[2] = 1.5
        found /= found.sum()
    maps = {}
    for pair in PAIRS:
        shared = pair[0] == "attention"
        drawn_maps = values.uniform(size=(1 if shared else len(classes), 3, 4)).astype(np.float32)
        maps[pair] = np.repeat(drawn_maps, len(classes), axis=0) if shared else drawn_maps
    return Explained(
        view=View(name, values.integers(0, 256, (*size, 3), dtype=np.uint8), ratio),
        probabilities=probabilities,
        classes=classes,
        drawn=drawn,
        maps=maps,
        nan={pair: np.zeros(len(classes), bool) for pair in maps},
        all_negative={pair: np.zeros(len(classes), bool) for pair in maps},
        blocks=tuple(values.uniform(size=(side, side)).astype(np.float32) for side in (6, 3)),
    )
