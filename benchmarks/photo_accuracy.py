"""Accuracy of published weights on labelled pictures, beside torch's network with the same weights and tensors.

    python -m benchmarks.photo_accuracy efficientnet_lite0.pypi PICTURES

PICTURES is a folder with metadata.csv: `file_name` and `label`, ImageNet's. Pictures are read, resized and normalised
as the weights say; torch gets the same tensors. Needs torch and efficientnet_lite_pytorch beside us; without them ours
is measured alone.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from flax import nnx

import castream_jax as ca
from castream_jax.data.pictures.decoding import Decoding, decode
from castream_jax.data.pictures.preprocess import Resize
from castream_jax.models.classifier import Classifier
from castream_jax.weights.known import KNOWN

BATCH = 20


def read_batches(folder: Path, model: Classifier) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield normalised images [B H W 3] and labels [B]."""
    assert model.preprocessing is not None
    decoding, resize = Decoding.of(model.preprocessing), Resize.of(model.preprocessing)
    rows = list(csv.DictReader((folder / "metadata.csv").open(encoding="utf-8")))
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        pictures = (decode((folder / row["file_name"]).read_bytes(), decoding).image for row in some)
        pixels = np.stack([np.asarray(resize(picture)) for picture in pictures])
        yield np.asarray(model.normalisation(pixels)), np.array([int(row["label"]) for row in some])


def build_theirs(model: Classifier) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return torch's network with a model's weights, as a function of images [B H W 3]; None where it is not there."""
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        print(f"torch's network is not measured: {error}")
        return None
    theirs = EfficientNet.from_name(model.name.replace("_", "-")).eval()
    arrays = {key: torch.from_numpy(array) for key, array in ca.export_weights(model).items()}
    assert not theirs.load_state_dict(arrays, strict=False).unexpected_keys

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()

    return run


def main(name: str, folder: Path) -> None:
    """Print top-1 and top-5 of each, and how far their logits are apart."""
    model = ca.load_weights(ca.create_model(KNOWN[name].architecture, "gap"), name)
    graphdef, state = nnx.split(model)
    forward = jax.jit(lambda state, images: nnx.merge(graphdef, state)(images))
    networks = {"ours": lambda images: np.asarray(forward(state, images))}
    if theirs := build_theirs(model):
        networks["torch"] = theirs
    labels: list[int] = []
    logits: dict[str, list[np.ndarray]] = {peer: [] for peer in networks}
    for images, some in read_batches(folder, model):
        labels += some.tolist()
        for peer, network in networks.items():
            logits[peer] += list(network(images))
    ranked = {peer: np.argsort(-np.array(found), axis=1) for peer, found in logits.items()}
    for peer, order in ranked.items():
        top1, top5 = ((order[:, :k] == np.array(labels)[:, None]).any(1).mean() for k in (1, 5))
        print(f"{name}, {peer}: top-1 {top1:.1%}, top-5 {top5:.1%} of {len(labels)} pictures")
    if theirs:
        ours, other = (np.array(logits[peer]) for peer in ("ours", "torch"))
        apart, same = np.abs(ours - other).max() / np.abs(other).max(), (ranked["ours"] == ranked["torch"])[:, 0].mean()
        print(f"logits apart by {apart:.1e} of the largest; the same class for {same:.1%}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
