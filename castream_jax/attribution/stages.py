"""Several feature maps of one network at once, and their gradients: what maps of more than one stage are made of."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from castream_jax.attribution.method import Subject


def list_stages(subject: Subject) -> list[str]:
    """Return the target and the feature maps before it, the last one of each finer grid, the target first."""
    return last_of_grids(subject.whole.targets, subject.target, subject.scene.features)


def last_of_grids(targets: Sequence[str], target: str, features: Mapping[str, Any]) -> list[str]:
    """Return what `list_stages` does of feature maps by name, or of their shapes."""

    def positions(name: str) -> int:
        return math.prod(features[name].shape[1:3])

    stages = [target]
    for name in targets[targets.index(target) :]:
        if positions(name) > positions(stages[-1]):
            stages.append(name)
    return stages


def stage_gradients(
    subject: Subject, stages: list[str]
) -> list[tuple[Float[Array, "B _ _ _"], Float[Array, "B _ _ _"]]]:
    """Return for each stage, the last one first, the gradient of the class's logit, in float32, and the feature map.

    One pass forward and back from the earliest stage on: what lies between two stages is computed from the earlier one.
    """
    network, features = subject.whole, dict(subject.scene.features)

    def logits(added: dict[str, Array]) -> Float[Array, "B K"]:
        seen = features
        for name in reversed(stages):
            seen = network.replace(seen, name, seen[name] + added[name])
        return network.head(seen)[0]

    found, pull_back = jax.vjp(logits, {name: jnp.zeros_like(features[name]) for name in stages})
    (gradients,) = pull_back(jax.nn.one_hot(subject.labels, found.shape[-1], dtype=found.dtype))
    return [(gradients[name].astype(jnp.float32), features[name]) for name in stages]
