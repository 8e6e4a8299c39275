"""Binds networks to attributions: the maps of every network that shares one trunk, from shared forward passes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from castream_jax.attribution.attention import attention_map, attention_score_map
from castream_jax.attribution.gradient import grad_cam_pp_weights, grad_cam_weights, weighted_sum
from castream_jax.attribution.score import ScoreCam, score_cam
from castream_jax.errors import InputError, choose
from castream_jax.masking import min_max
from castream_jax.models.answers import check_probabilities
from castream_jax.models.classifier import Classifier, Features

GRADIENT_METHODS = {"grad_cam": grad_cam_weights, "grad_cam_pp": grad_cam_pp_weights}
ATTENTION_METHODS = {"attention": attention_map, "attention_scores": attention_score_map}
_WITHOUT_STREAM = (*GRADIENT_METHODS, "score_cam")
METHODS = (*_WITHOUT_STREAM, *ATTENTION_METHODS)


MapKey = tuple[str, str]
"""(attribution, pooling)."""


@dataclass(frozen=True)
class ComputedMaps:
    """What each method and network gives for B images, by (method, network)."""

    maps: dict[MapKey, Array]
    """In [0, 1], [B h w]; zeros where a map was not finite."""
    nan: dict[MapKey, Array]
    """[B] bool: the map held a NaN or an infinity."""
    all_negative: dict[MapKey, Array]
    """[B] bool: the map had no positive value before its ReLU, which left nothing."""
    score_cam: ScoreCam | None
    """How exact the Score-CAM maps are, one score for each network, and what they cost; None if there are none."""


def has_map(method: str, network: Classifier) -> bool:
    """Return whether a network has this map: raw attention is the stream's."""
    return method not in ATTENTION_METHODS or network.stream is not None


def explained_keys(networks: Mapping[str, Classifier], methods: Sequence[str]) -> tuple[MapKey, ...]:
    """Return the maps that `compute_maps` makes, in its order.

    Raises:
      InputError: an unknown method, one that is named twice, methods that none of the networks has, or one class only.
    """
    for network in networks.values():
        check_probabilities(network.name, network.num_classes)
    for method in methods:
        choose("attribution", method, METHODS)
        if methods.count(method) > 1:
            raise InputError(f"attribution {method!r} is named {methods.count(method)} times: name each once.")
    keys = tuple((method, name) for method in methods for name in networks if has_map(method, networks[name]))
    if not keys:
        raise InputError(
            f"there is nothing to explain: {', '.join(methods)} is of a stream's attention, and with pooling='gap' "
            f"there is no stream. Set pooling='ca', or add one of {', '.join(_WITHOUT_STREAM)}."
        )
    return keys


def joint_probabilities(
    networks: Sequence[Classifier],
) -> Callable[[Float[Array, "n H W 3"]], Float[Array, "n SK"]]:
    """Return the function from images to all networks' probabilities side by side, from one pass of their trunk."""

    def score_fn(images: Float[Array, "n H W 3"]) -> Float[Array, "n SK"]:
        features = networks[0].features(images)
        return jnp.concatenate([jax.nn.softmax(network.head(features)[0]) for network in networks], axis=1)

    return score_fn


def joint_labels(networks: Sequence[Classifier], labels: Int[Array, "S B"]) -> Int[Array, "S B"]:
    """Return the columns of `joint_probabilities` that hold each network's labels."""
    return labels + jnp.arange(len(networks))[:, None] * networks[0].num_classes


def compute_maps(
    networks: Mapping[str, Classifier],
    images: Float[Array, "B H W 3"],
    features: Features,
    labels: Mapping[str, Int[Array, "B"]],
    methods: Sequence[str],
    target: str,
    chunk: int,
    tolerance: float = 0.0,
) -> ComputedMaps:
    """Return the maps of each method and network, in the order of `methods`.

    Args:
      networks: networks by name that share one trunk.
      images: normalised images, and `features` their feature maps.
      labels: the class that each network's maps explain, for each image.
      methods: of `METHODS`; a network without that map is left out.
      target: the feature map that attributions start from.
      chunk: masked images in one forward pass of Score-CAM.
      tolerance: of Score-CAM.
    """
    maps: dict[MapKey, Array] = {}
    sums: dict[MapKey, Array] = {}  # before ReLU and min-max
    found = None
    feature_map = features[target]
    for method in methods:
        holders = [name for name, network in networks.items() if has_map(method, network)]
        if method == "score_cam":
            members = [networks[name] for name in holders]
            columns = joint_labels(members, jnp.stack([labels[name] for name in holders])).T  # [B S]
            mean, std = members[0].normalisation.mean, members[0].normalisation.std
            found = score_cam(joint_probabilities(members), feature_map, images, columns, mean, std, chunk, tolerance)
            maps |= {(method, name): found.maps[i] for i, name in enumerate(holders)}
            sums |= {(method, name): found.sums[i] for i, name in enumerate(holders)}
            continue
        for name in holders:
            if method in GRADIENT_METHODS:
                head = head_from(networks[name], features, target)
                weights = GRADIENT_METHODS[method](head, feature_map, labels[name])
                sums[method, name] = weighted_sum(feature_map, weights)
                maps[method, name] = min_max(jax.nn.relu(sums[method, name]))
            else:
                attention = networks[name].head(features)[1][-1]
                sums[method, name] = attention.mean(1)
                maps[method, name] = ATTENTION_METHODS[method](attention)
    nan = {key: ~jnp.isfinite(total).all((1, 2)) for key, total in sums.items()}
    return ComputedMaps(
        maps={key: jnp.where(nan[key][:, None, None], 0.0, values) for key, values in maps.items()},
        nan=nan,
        all_negative={key: total.max((1, 2)) <= 0 for key, total in sums.items()},
        score_cam=found,
    )


def head_from(
    network: Classifier, features: Features, target: str
) -> Callable[[Float[Array, "B h w C"]], Float[Array, "B K"]]:
    """Return the head as a function of one feature map, the other ones fixed."""
    return lambda feature_map: network.head(network.backbone.replace(features, target, feature_map))[0]


def check_method(method: str, network: Classifier) -> None:
    """Raise `InputError` if the network has no such map."""
    if not has_map(method, network):
        raise InputError(f'method {method!r} needs a stream: this model has pooling="gap", it must have pooling="ca".')
