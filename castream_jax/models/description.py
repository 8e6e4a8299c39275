"""What is known of a network beside its arrays, as a checkpoint keeps it: what pictures become, what answers mean."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from castream_jax.errors import InputError
from castream_jax.models.inputs import IMAGENET, Normalisation, Preprocessing
from castream_jax.models.network import Network
from castream_jax.models.scores import SCORES, name_score


def describe_network(model: Network) -> dict[str, Any]:
    """Return what `recall_network` reads, ready for JSON; `InputError` for a score of the user's own."""
    return {
        "architecture": model.name,
        "pooling": model.pooling,
        "preprocessing": asdict(model.preprocessing) if model.preprocessing else None,
        "normalisation": asdict(model.normalisation),
        "class_names": list(model.class_names),
        "score": name_score(model.score),
    }


def recall_network(model: Network, metadata: Mapping[str, Any]) -> None:
    """Give a network what a checkpoint's metadata say of the one whose arrays it has.

    Raises:
      InputError: its logits become probabilities in a way that is not known here.
    """
    if "network" not in metadata and "config" not in metadata:
        return  # nothing is known
    description = metadata["network"] if "network" in metadata else _describe_older(metadata["config"])
    score = description.get("score") if isinstance(description, Mapping) else description
    if not isinstance(score, str) or score not in SCORES:
        raise InputError(
            f"this network's scores are {score!r:.80}: expected {' or '.join(map(repr, SCORES))}, the only ones that "
            "this version knows. Use the version that it was trained with, or a newer one."
        )
    try:
        preprocessing, normalisation = description["preprocessing"], description["normalisation"]
        model.preprocessing = Preprocessing(**preprocessing) if preprocessing else None
        model.normalisation = Normalisation(*(tuple(map(float, normalisation[name])) for name in ("mean", "std")))
        model.class_names = tuple(map(str, description["class_names"]))
        model.score = score
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"what these weights say of their network cannot be read ({type(error).__name__}: {error}): expected what "
            "tools/export_weights.py or a checkpoint says. Export them again."
        ) from error


def _describe_older(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a network from before checkpoints had one: all were trained in the same way."""
    seen = Preprocessing(config["data"]["image_size"], orientation="stored", transparency="drop")
    return {
        "preprocessing": asdict(seen),
        "normalisation": asdict(IMAGENET),
        "class_names": [],
        "score": "softmax",
    }
