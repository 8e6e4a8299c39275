"""What is known of a network beside its arrays, as a checkpoint keeps it: what pictures become, what answers mean."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from castream_jax.errors import InputError
from castream_jax.models.classifier import Classifier
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing

SCORE = "softmax"
"""What turns logits into the probabilities of classes."""


def describe_network(model: Classifier) -> dict[str, Any]:
    """Return what `recall_network` reads, ready for JSON."""
    return {
        "architecture": model.name,
        "pooling": model.pooling,
        "preprocessing": asdict(model.preprocessing) if model.preprocessing else None,
        "normalisation": asdict(model.normalisation),
        "class_names": list(model.class_names),
        "score": SCORE,
    }


def recall_network(model: Classifier, metadata: Mapping[str, Any]) -> None:
    """Give a network what a checkpoint's metadata say of the one whose arrays it has.

    Raises:
      InputError: its logits become probabilities in a way that is not known here.
    """
    description = metadata.get("network") or _describe_older(metadata["config"])
    if description["score"] != SCORE:
        raise InputError(
            f"this network's scores are {description['score']!r}: expected {SCORE!r}, the only ones that this version "
            "knows. Use the version that it was trained with, or a newer one."
        )
    found = description["preprocessing"]
    normalisation = description["normalisation"]
    model.preprocessing = Preprocessing(**found) if found else None
    model.normalisation = Normalisation(tuple(normalisation["mean"]), tuple(normalisation["std"]))
    model.class_names = tuple(description["class_names"])


def _describe_older(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a network from before checkpoints had one: all were trained in the same way."""
    seen = Preprocessing(config["data"]["image_size"], orientation="stored", transparency="drop")
    return {
        "preprocessing": asdict(seen),
        "normalisation": asdict(IMAGENET),
        "class_names": [],
        "score": SCORE,
    }
