"""Maps made again, of other images or another class, by the method and for the network that each map is of."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from castream_jax.attribution.method import Method, Scene
from castream_jax.attribution.null_maps import NullMap
from castream_jax.binding.maps import MapKey, compute_maps
from castream_jax.compute.masking import upsample
from castream_jax.compute.questions import Again, Made, Panel
from castream_jax.errors import InputError
from castream_jax.models.cascade import Cascade
from castream_jax.models.network import Features, Network

Draw = Callable[[Scene], Made]
"""From a scene to its maps."""


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
    cascade: Cascade | None = None
    """The networks with weights that are drawn again; None: there are none."""

    def __call__(self, question: Again) -> tuple[Float[Array, "turns J"], int]:
        """Return what is asked of the maps, and how many images were shown to the network for each image of the batch.

        The trunk stands in the program once: turns, and kinds of maps with images of their own, are taken in a loop.
        """
        if question.networks != "own":
            return self.ask_cascade(question)
        labels = self.labels if question.other_class is None else self.other_labels(question.other_class)
        draws = {place: draw for place, one in enumerate(self.drawers) if (draw := self.draw(one, labels)) is not None}
        count, trunk = len(self.scene.images), next(iter(self.networks.values()))
        kinds, own = jnp.asarray(list(draws), jnp.int32), jnp.arange(count)
        nothing = jnp.full((question.turns, len(self.drawers), count), jnp.nan)
        make = question.make
        if not draws:
            return nothing.reshape(question.turns, -1), 0

        def judge(made: Made, kind: Int[Array, ""]) -> Float[Array, "B"]:
            return question.judge(made, kind * count + own)

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
        shown *= 1 if make is None else self.count_images(make)
        return nothing.at[:, kinds].set(found).reshape(question.turns, -1), shown

    def ask_cascade(self, question: Again) -> tuple[Float[Array, "turns J"], int]:
        """Return the same for networks whose weights are drawn again, each from the classifier down to one part."""
        if self.cascade is None:
            raise InputError("a metric asks for a network with fresh weights, and here there is none: evaluate.py has.")
        cascade, parts, count = self.cascade, len(self.cascade.parts), len(self.scene.images)
        turns = np.arange(parts + 1) if question.networks == "cascade" else np.array([0, parts])

        def turn(number: Int[Array, ""]) -> Float[Array, "J"]:
            networks = cascade.networks(number)
            maker = replace(self, networks=networks)
            scene = maker.see(self.scene.images)
            found = []
            for place, one in enumerate(self.drawers):
                draw = maker.draw(one, self.labels)
                jobs = place * count + jnp.arange(count)
                unknown = jnp.full(count, jnp.nan)
                found.append(unknown if draw is None else question.judge(draw(scene), jobs))
            return jnp.concatenate(found)

        return lax.map(turn, jnp.asarray(turns, jnp.int32)), len(turns)

    def count_images(self, make: Callable[..., Array]) -> int:
        """Return as how many images what is made for one image counts: those of more pixels are dearer."""
        one = jax.ShapeDtypeStruct((1,), jnp.int32)
        made = jax.eval_shape(make, jax.ShapeDtypeStruct((), jnp.int32), one)
        return -(-math.prod(made.shape[1:3]) // math.prod(self.scene.size))

    def see(self, images: Float[Array, "B H W C"], features: Features | None = None) -> Scene:
        """Return other images as the scene's, with their feature maps."""
        features = next(iter(self.networks.values())).features(images) if features is None else features
        return replace(self.scene, images=images, features=features, feature_map=features[self.target])

    def draw_of(self, draw: Draw, images: Array, features: dict[str, Array]) -> Made:
        """Return maps of other images, from these and their feature maps."""
        return draw(self.see(images, features))

    def draw(self, one: tuple[Method, str] | NullMap | None, labels: Mapping[str, Int[Array, "B"]]) -> Draw | None:
        """Return how maps of one kind are made; None: they are not, for nobody can or it takes too many passes."""
        if one is None:
            return None
        if isinstance(one, NullMap):
            draw_null = one.draw
            return lambda scene: Made(*[lax.optimization_barrier(draw_null(scene))] * 2)  # as `program.measure` does
        method, pooling = one
        if method.ask is not None or method.through_trunk:
            return None
        network, own = self.networks[pooling], labels[pooling][:, None]

        def make(scene: Scene) -> Made:
            panel = Panel(lambda images: images, scene.columns, 1)  # nothing is asked
            computed = compute_maps({pooling: network}, scene, {pooling: own}, (method,), self.target, panel)
            maps, sums = (values[method.key, pooling][:, 0] for values in (computed.maps, computed.sums))
            return Made(upsample(maps, scene.size), upsample(sums, scene.size))

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
