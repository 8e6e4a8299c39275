"""Maps made again, of other images or another class, by the method and for the network that each map is of."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Scene
from castream_jax.attribution.null_maps import NullMap
from castream_jax.binding.maps import MapKey, compute_maps
from castream_jax.compute.masking import upsample
from castream_jax.compute.questions import Again, Panel
from castream_jax.models.network import Features, Network

Draw = Callable[[Scene], Float[Array, "B H W"]]
"""From a scene to maps at the images' size."""


@dataclass(frozen=True)
class MapMaker:
    """Makes the maps of a batch again: those of methods of the head alone, and null maps; the others become NaN."""

    networks: Mapping[str, Network]
    """By pooling; they share one trunk."""
    scene: Scene
    labels: Mapping[str, Int[Array, "B"]]
    """The class that is measured, by pooling."""
    target: str
    drawers: tuple[tuple[Method, str] | NullMap | None, ...]
    """In the order of the maps, B of each: a method and a pooling, a null map, or what nobody here can make."""

    def __call__(self, question: Again) -> tuple[Float[Array, "turns J"], int]:
        """Return what is asked of the maps, and how many images were shown to the network for each image of the batch.

        The trunk stands in the program once: turns, and kinds of maps with images of their own, are taken in a loop.
        """
        labels = self.labels if question.other_class is None else self.other_labels(question.other_class)
        draws = {place: draw for place, one in enumerate(self.drawers) if (draw := self.draw(one, labels)) is not None}
        count, trunk = len(self.scene.images), next(iter(self.networks.values()))
        kinds, own = jnp.asarray(list(draws), jnp.int32), jnp.arange(count)
        nothing = jnp.full((question.turns, len(self.drawers), count), jnp.nan)
        make = question.make
        if not draws:
            return nothing.reshape(question.turns, -1), 0

        def judge(maps: Array, kind: Int[Array, ""]) -> Float[Array, "B"]:
            return question.judge(maps, kind * count + own)

        def judge_all(scene: Scene) -> Float[Array, "kinds B"]:
            return jnp.stack([judge(draw(scene), kind) for draw, kind in zip(draws.values(), kinds)])

        def turn_all(turn: Int[Array, ""]) -> Float[Array, "kinds B"]:
            assert make is not None
            return judge_all(self.see(make(turn, own)))

        def turn_one(step: Int[Array, ""]) -> Float[Array, "B"]:
            assert make is not None
            place = step % len(draws)
            seen = make(step // len(draws), kinds[place] * count + own)
            branches = [functools.partial(self.draw_of, draw) for draw in draws.values()]
            return judge(lax.switch(place, branches, seen, dict(trunk.features(seen))), kinds[place])

        if make is None:
            found, shown = judge_all(self.scene)[None], 0
        elif question.share == "image":
            found, shown = lax.map(turn_all, jnp.arange(question.turns)), question.turns
        else:
            shown = question.turns * len(draws)
            found = lax.map(turn_one, jnp.arange(shown)).reshape(question.turns, len(draws), count)
        return nothing.at[:, kinds].set(found).reshape(question.turns, -1), shown

    def see(self, images: Float[Array, "B H W C"], features: Features | None = None) -> Scene:
        """Return other images as the scene's, with their feature maps."""
        features = next(iter(self.networks.values())).features(images) if features is None else features
        return replace(self.scene, images=images, features=features, feature_map=features[self.target])

    def draw_of(self, draw: Draw, images: Array, features: dict[str, Array]) -> Float[Array, "B H W"]:
        """Return maps of other images, from these and their feature maps."""
        return draw(self.see(images, features))

    def draw(self, one: tuple[Method, str] | NullMap | None, labels: Mapping[str, Int[Array, "B"]]) -> Draw | None:
        """Return how maps of one kind are made; None: they are not, for nobody can or it takes too many passes."""
        if one is None or isinstance(one, NullMap):
            return None if one is None else one.draw
        method, pooling = one
        if method.ask is not None or method.through_trunk:
            return None
        network, own = self.networks[pooling], labels[pooling][:, None]

        def make(scene: Scene) -> Float[Array, "B H W"]:
            panel = Panel(lambda images: images, scene.columns, 1)  # nothing is asked
            computed = compute_maps({pooling: network}, scene, {pooling: own}, (method,), self.target, panel)
            return upsample(computed.maps[method.key, pooling][:, 0], scene.size)

        return make

    def other_labels(self, seed: int) -> dict[str, Int[Array, "B"]]:
        """Return another class for each image, which depends on its place in the dataset and on its own class."""
        classes = next(iter(self.networks.values())).num_classes
        key = jax.random.key(seed)

        def step(index: Int[Array, ""]) -> Int[Array, ""]:
            return jax.random.randint(jax.random.fold_in(key, index), (), 1, classes)

        steps = jax.vmap(step)(self.scene.indices)
        return {pooling: (own + steps) % classes for pooling, own in self.labels.items()}


def list_drawers(
    methods: tuple[Method, ...], keys: tuple[MapKey, ...], given: int, null_maps: tuple[NullMap, ...]
) -> tuple[tuple[Method, str] | NullMap | None, ...]:
    """Return `MapMaker.drawers`: of the methods' maps, of so many given ones, of null maps."""
    by_key = {method.key: method for method in methods}
    return (*((by_key[key], pooling) for key, pooling in keys), *(None,) * given, *null_maps)
