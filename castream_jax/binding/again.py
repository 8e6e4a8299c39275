"""Maps made again, of other images or another class, by the method and for the network that each map is of."""

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
from castream_jax.models.network import Network

SEED = 0
"""Of other classes."""

Draw = Callable[[Scene], Float[Array, "B H W"]]
"""From a scene to maps at the images' size."""


@dataclass(frozen=True)
class MapMaker:
    """Makes the maps of a batch again: those of methods that ask nothing, and null maps; the others become NaN."""

    networks: Mapping[str, Network]
    """By pooling; they share one trunk."""
    scene: Scene
    labels: Mapping[str, Int[Array, "B"]]
    """The class that is measured, by pooling."""
    target: str
    drawers: tuple[tuple[Method, str] | NullMap | None, ...]
    """In the order of the maps, B of each: a method and a pooling, a null map, or what nobody here can make."""

    def __call__(self, question: Again) -> tuple[Float[Array, "J H W"], int]:
        """Return the maps, and how many images were shown to the network for each image of the batch.

        The trunk stands in the program once: kinds of maps take turns in a loop.
        """
        labels = self.other_labels() if question.other_class else self.labels
        draws = {place: draw for place, one in enumerate(self.drawers) if (draw := self.draw(one, labels)) is not None}
        size, count = self.scene.size, len(self.scene.images)
        made: dict[int, Array] = {}
        if question.images is None:
            made = {place: draw(self.scene) for place, draw in draws.items()}
        elif draws:
            images = question.images.reshape(len(self.drawers), count, *question.images.shape[1:])
            trunk = next(iter(self.networks.values()))
            branches = [self.see(draw) for draw in draws.values()]

            def turn(own: tuple[Array, Array]) -> Array:
                seen, kind = own
                features = dict(trunk.features(seen))
                return lax.switch(kind, branches, seen, features)

            found = lax.map(turn, (images[jnp.asarray(list(draws))], jnp.arange(len(draws))))
            made = dict(zip(draws, found))
        nothing = jnp.full((count, *size), jnp.nan)
        maps = jnp.concatenate([made.get(place, nothing) for place in range(len(self.drawers))])
        return maps, 0 if question.images is None else len(draws)

    def see(self, draw: Draw) -> Callable[[Array, dict[str, Array]], Array]:
        """Return how to make maps of other images than the scene's, from these and their feature maps."""

        def make(images: Array, features: dict[str, Array]) -> Array:
            seen = replace(self.scene, images=images, features=features, feature_map=features[self.target])
            return draw(seen)

        return make

    def draw(self, one: tuple[Method, str] | NullMap | None, labels: Mapping[str, Int[Array, "B"]]) -> Draw | None:
        """Return how maps of one kind are made; None: they are not, for nobody can or it takes too many passes."""
        if one is None or isinstance(one, NullMap):
            return None if one is None else one.draw
        method, pooling = one
        if method.ask is not None:
            return None
        network, own = self.networks[pooling], labels[pooling][:, None]

        def make(scene: Scene) -> Float[Array, "B H W"]:
            panel = Panel(lambda images: images, scene.columns, 1)  # nothing is asked
            computed = compute_maps({pooling: network}, scene, {pooling: own}, (method,), self.target, panel)
            return upsample(computed.maps[method.key, pooling][:, 0], scene.size)

        return make

    def other_labels(self) -> dict[str, Int[Array, "B"]]:
        """Return another class for each image, which depends on its place in the dataset and on its own class."""
        classes = next(iter(self.networks.values())).num_classes
        key = jax.random.key(SEED)

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
