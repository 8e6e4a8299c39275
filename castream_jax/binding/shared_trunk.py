"""Networks that share a trunk, asked together: one pass gives the scores of all of them."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.compute.questions import ScoreFunction
from castream_jax.models.network import Features, Network


def joint_scores(networks: Sequence[Network], with_logits: bool = False) -> ScoreFunction:
    """Return the function from images to all networks' scores side by side, from one pass of their trunk; on request
    with the logits of all of them behind.
    """

    def score_fn(images: Float[Array, "n H W C"]) -> Float[Array, "n _"]:
        features = networks[0].features(images)
        logits = [network.head(features)[0] for network in networks]
        scores = [network.scores(own) for network, own in zip(networks, logits, strict=True)]
        return jnp.concatenate([*scores, *logits] if with_logits else scores, axis=1)

    return jax.jit(score_fn)  # traced once for each size of a chunk, however many rounds ask it


def joint_columns(networks: Sequence[Network], labels: Int[Array, "S B K"]) -> Int[Array, "B SK"]:
    """Return the columns of `joint_scores` that hold each network's labels, those of the first network first."""
    columns = labels + jnp.arange(len(networks))[:, None, None] * networks[0].num_classes
    return jnp.moveaxis(columns, 1, 0).reshape(labels.shape[1], -1)


def head_from(
    network: Network, features: Features, target: str
) -> Callable[[Float[Array, "B h w C"]], Float[Array, "B K"]]:
    """Return the head as a function of one feature map, the other ones fixed."""
    return lambda feature_map: network.head(network.replace(features, target, feature_map))[0]


def joint_logits(
    networks: Sequence[Network], features: Features, target: str, labels: Int[Array, "S B K"]
) -> Callable[[Float[Array, "B h w C"]], Float[Array, "B SK"]]:
    """Return the logits of each network's labels as a function of one feature map, in the order of `joint_columns`."""

    def logits(feature_map: Float[Array, "B h w C"]) -> Float[Array, "B SK"]:
        found = [head_from(network, features, target)(feature_map) for network in networks]
        return jnp.concatenate([jnp.take_along_axis(all_, own, axis=1) for all_, own in zip(found, labels)], axis=1)

    return logits
