"""From networks to maps: those of every method, pooling and class, from shared forward passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from castream_jax.attribution.method import Method, Scene, Subject
from castream_jax.binding.shared_trunk import head_from
from castream_jax.compute.questions import Asked, Panel, converse
from castream_jax.errors import InputError
from castream_jax.models.answers import check_probabilities
from castream_jax.models.network import Network

MapKey = tuple[str, str]
"""(attribution, pooling)."""


@dataclass(frozen=True)
class ComputedMaps:
    """What each method and network gives for K classes of B images, by (method, network)."""

    maps: dict[MapKey, Float[Array, "B K h w"]]
    """In [0, 1]; zeros where a map was not finite."""
    nan: dict[MapKey, Bool[Array, "B K"]]
    """The map held a NaN or an infinity."""
    all_negative: dict[MapKey, Bool[Array, "B K"]]
    """The map had no positive value before its ReLU, which left nothing."""
    sums: dict[MapKey, Float[Array, "B K h w"]]
    """Before ReLU and min-max."""
    columns: dict[str, dict[MapKey, Float[Array, "B K"]]]
    """What else methods say of their maps, by column of the rows."""
    asked: list[Asked]
    through_trunk: int = 0
    """How often an image runs through the trunk forward and back for all its maps."""


def has_map(method: Method, network: Network) -> bool:
    """Return whether a network has this map."""
    return not method.needs_stream or network.has_attention


def explained_keys(networks: Mapping[str, Network], methods: Sequence[Method]) -> tuple[MapKey, ...]:
    """Return the maps that `compute_maps` makes, in its order.

    Raises:
      InputError: methods that none of the networks has, or a network of one class only.
    """
    for network in networks.values():
        check_probabilities(network.name, network.num_classes, network.score)
    keys = tuple(
        (method.key, name) for method in methods for name, network in networks.items() if has_map(method, network)
    )
    if methods and not keys:
        raise InputError(
            f"there is nothing to explain: {', '.join(method.key for method in methods)} needs a stream, and this "
            "network has none (pooling='gap'). Set pooling='ca', or add another method."
        )
    return keys


def compute_maps(
    networks: Mapping[str, Network],
    scene: Scene,
    labels: Mapping[str, Int[Array, "B K"]],
    methods: Sequence[Method],
    target: str,
    panel: Panel,
) -> ComputedMaps:
    """Return the maps of each method and network, in the order of `methods`.

    Args:
      networks: networks by name that share one trunk.
      scene: the images and their feature maps.
      labels: the K classes that each network's maps explain, for each image.
      methods: a network without that map is left out.
      target: the name of the scene's target feature map.
      panel: who answers what methods ask: its columns are those of all labels, by network.
    """
    found, asked = converse({m.key: m.ask(scene) for m in methods if m.ask is not None}, panel)
    classes = next(iter(labels.values())).shape[1]
    repeated = repeat_images(scene, classes)
    computed, through = ComputedMaps({}, {}, {}, {}, {}, asked), 0
    for method in methods:
        holders = [name for name, network in networks.items() if has_map(method, network)]
        for name in holders:
            place = list(networks).index(name)
            count = classes if method.has_classes else 1
            seen = repeated if method.has_classes else scene
            subject = Subject(
                scene=seen,
                head=head_from(networks[name], dict(seen.features), target),
                attention=networks[name].head(dict(seen.features))[1] if method.needs_stream else (),
                labels=labels[name][:, :count].reshape(-1),
                answers=take_answers(found.get(method.key), place * classes, count),
                network=networks[name],
                target=target,
            )
            add_map(computed, (method.key, name), method, subject, classes)
            through += method.through_trunk * count
    return replace(computed, through_trunk=through)


def repeat_images(scene: Scene, classes: int) -> Scene:
    """Return a scene with each image as often as it has classes."""
    if classes == 1:
        return scene

    def repeat(array: Array) -> Array:
        return jnp.repeat(array, classes, axis=0)

    return replace(
        scene,
        images=repeat(scene.images),
        features={name: repeat(values) for name, values in scene.features.items()},
        feature_map=repeat(scene.feature_map),
        indices=repeat(scene.indices),
        columns=repeat(scene.columns),
    )


def take_answers(found: Any, first: int, count: int) -> Any:
    """Return what a method's questions found for `count` classes of one network, an image's classes in turn."""

    def take(array: Float[Array, "B *n Q"]) -> Float[Array, "Bk *n"]:
        own = jnp.moveaxis(array[..., first : first + count], -1, 1)  # [B count *n]
        return own.reshape(-1, *own.shape[2:])

    return None if found is None else jax.tree.map(take, found)


def add_map(computed: ComputedMaps, key: MapKey, method: Method, subject: Subject, classes: int) -> None:
    """Compute one method's maps of one network, and add them."""
    if method.sums is None:
        raise InputError(f"the method {method.key!r} was read from a file and cannot be computed: name its record.")
    sums = method.sums(subject)
    if sums.ndim != 3 or len(sums) != len(subject.labels):
        raise InputError(
            f"the method {method.key!r} gives maps of shape {sums.shape}: expected [{len(subject.labels)} h w], one "
            "for each image, before ReLU and min-max."
        )

    def shape(values: Array) -> Array:
        apart = values.reshape(-1, classes if method.has_classes else 1, *values.shape[1:])
        return apart if method.has_classes else jnp.repeat(apart, classes, axis=1)

    nan = ~jnp.isfinite(sums).all((1, 2))
    computed.maps[key] = shape(jnp.where(nan[:, None, None], 0.0, method.scale(sums)))
    computed.sums[key] = shape(sums)
    computed.nan[key] = shape(nan)
    computed.all_negative[key] = shape((sums.max((1, 2)) <= 0) & (not method.is_signed))
    for name, values in method.describe(subject).items() if method.describe else ():
        computed.columns.setdefault(name, {})[key] = shape(values)
