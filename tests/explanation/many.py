"""An explained picture of six poolings, of made-up values."""

import dataclasses

import numpy as np

from castream_jax.explanation.explainer import Explained
from tests.explanation.synthetic import CLASS_NAMES, create_explained

POOLINGS = ("gap", "ca(taps=stage3+stage4)", "simpool", "ep", "class_attention", "gem(p=4)")
NAMES = ["GAP", "CA (taps=stage3+stage4)", "SimPool", "Efficient probing", "Class attention", "GeM (p=4)"]
PAIRS = tuple((key, p) for key in ("grad_cam", "grad_cam_pp", "score_cam", "layer_cam") for p in POOLINGS)
PAIRS += tuple(("attention", pooling) for pooling in POOLINGS[1:5])


def create_many_explained(name="a.jpg", seed=0) -> Explained:
    """Return a picture with the maps of five methods, of three classes each."""
    values = np.random.default_rng(seed)
    return dataclasses.replace(
        create_explained(name, seed=seed),
        probabilities={p: values.dirichlet(np.ones(len(CLASS_NAMES))).astype(np.float32) for p in POOLINGS},
        maps={pair: values.uniform(size=(3, 3, 4)).astype(np.float32) for pair in PAIRS},
        nan={pair: np.zeros(3, bool) for pair in PAIRS},
        all_negative={pair: np.zeros(3, bool) for pair in PAIRS},
        blocks=(),
    )
